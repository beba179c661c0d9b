"""From the words of `sslkit compare` to a comparison: lists of parts, or a study, and what is set for all arms."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslkit.config import Flat
from sslkit.config.resolve import named
from sslkit.errors import UserError
from sslkit.harness.plan.arms import Comparison, plan, product, unseeded
from sslkit.harness.plan.cost import equal_compute
from sslkit.harness.plan.survey import Survey, survey
from sslkit.harness.studies import CONDITIONS, read_study
from sslkit.harness.work.compare import settled
from sslkit.recipes import keys_of
from sslkit.recipes.replaced import check_lengths
from sslkit.store import PathLike, Store

SEEDS = 8


@dataclass(frozen=True)
class Words:
    """What was asked for."""

    base: dict[str, Any]  # keys of all arms
    varied: dict[str, list[Any]]  # key -> values that make arms
    conditions: dict[str, list[Any]]  # "labels", "backbone", "data" -> values that make groups of rows
    study: str | None = None
    scale: str = "quick"
    seeds: int | None = None
    first_seed: int | None = None
    reference: str | None = None
    config: PathLike | None = None
    equal: bool = False  # also finetune+ at the cost of the dearest arm

    @property
    def name(self) -> str:
        return Path(self.study).stem if self.study else "compare"


def comparison(words: Words, runs: PathLike, name: str) -> tuple[Comparison, Survey]:
    """The comparison, and what its runs will be.

    Raises:
        UserError: anything in the words that cannot be; arms that differ in what was not asked for.
    """
    store = Store(runs)
    made = settled(_planned(words, store.data), runs, name)
    found = survey(made, store)
    if words.equal:
        made = settled(equal_compute(made, found, store.data), runs, name)
        found = survey(made, store, found)
    return made, found


def _planned(words: Words, cache: Path) -> Comparison:
    conditions = {CONDITIONS[name]: values for name, values in words.conditions.items()}
    if words.study is not None and words.varied:
        raise UserError("a study has its own arms; drop --algo, --teacher, --labeler, --mixer and --vary")
    study = None if words.study is None else read_study(words.study, words.scale)
    conditions = (study.conditions if study else {}) | conditions
    base, remarks = _base(words, [*(study.arms.values() if study else ()), *_each(words.varied | conditions)])
    seeds, first, reference = words.seeds, words.first_seed, words.reference
    if study is None:
        arms, settings = product(base, words.varied, remarks), _nothing
    else:
        arms, settings = study.arms, study.settings
        seeds, reference = study.seeds if seeds is None else seeds, reference or study.reference
        first = study.first_seed if first is None else first
        remarks.append(study.question)
    if len(conditions.get("data.name", ())) == 1:
        base["data.name"] = conditions.pop("data.name")[0]
    count = SEEDS if seeds is None else seeds
    return plan(base, arms, conditions, count, reference or "finetune+", remarks, cache, settings, first or 0)


def _base(words: Words, arms: Sequence[Mapping[str, Any]]) -> tuple[Flat, list[str]]:
    """The keys of all runs, and a remark on those of the file that go with what an arm has in their place."""
    asked = named(unseeded(words.base))
    check_lengths(asked)
    if not words.config:
        return dict(words.base), []
    file, said = keys_of(words.config, [asked, *(asked | named(arm) for arm in arms)])
    return file | words.base, [said] if said else []


def _each(varied: Mapping[str, Sequence[Any]]) -> list[Flat]:
    return [{key: value} for key, values in varied.items() for value in values]


def _nothing(called: Collection[str]) -> Flat:
    return {}
