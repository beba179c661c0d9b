"""What a comparison's runs will be: their folders, stages and keys; checked to differ in what was asked for only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sslkit.config import Config, Flat
from sslkit.errors import UserError
from sslkit.harness.plan.arms import CONTROLS, Comparison
from sslkit.harness.plan.matching import unasked
from sslkit.machine import Machine, resolve_machine
from sslkit.prepare import Prepared, of_seeds
from sslkit.record import read_run, run_digest, run_name
from sslkit.record.stages import stages
from sslkit.store import Store, is_done
from sslkit.training.differences import differences, settings
from sslkit.training.sources import hashed_once
from sslkit.training.spec import Spec


@dataclass
class Planned:
    """One run, before or after it was trained."""

    arm: str
    condition: str
    seed: int
    folder: str  # name it will have in the store
    stages: dict[str, str]  # label -> key, in the order of training
    run: str = ""  # name of its folder, once it is finished
    error: str = "not run yet"  # "" once it is finished
    own: bool = True  # made by a comparison: nobody trained it before, by hand


@dataclass
class Survey:
    """All runs of a comparison, and what their stages are."""

    runs: list[Planned]
    specs: dict[str, Spec] = field(default_factory=dict)  # by key
    # kind of work -> parameters and FLOPs of a step; None where the step fails
    counted: dict[str, tuple[int, float] | None] = field(default_factory=dict)

    def spec(self, run: Planned, label: str) -> Spec:
        return self.specs[run.stages[label]]

    def before(self, spec: Spec) -> dict[str, Spec]:
        """Stage -> its spec, of all that `spec` starts from, the first one first."""
        parent = self.specs.get(spec.parent)
        return self.before(parent) | {parent.stage: parent} if parent else {}

    def first(self, condition: str) -> dict[str, Planned]:
        """Arm -> its run of the first seed."""
        first = min(run.seed for run in self.runs)
        return {run.arm: run for run in self.runs if run.condition == condition and run.seed == first}


def survey(comparison: Comparison, store: Store, earlier: Survey | None = None) -> Survey:
    """The runs of a comparison; what a step of `earlier` ones costs stays known.

    Raises:
        UserError: arms differ in what was not asked for.
    """
    found = Survey([], counted=earlier.counted if earlier else {})
    runs: dict[tuple[str, str, int], Planned] = {}
    like: dict[tuple[str, str, str], Spec] = {}
    with hashed_once():
        for (arm, condition, seed), prepared in _prepared(comparison, store):
            made = {stage.label: stage.spec for stage in stages(prepared, decided(prepared.config))}
            keys = {label: spec.key for label, spec in made.items()}
            folder = _folder(store, run_name(prepared.config), run_digest(prepared), keys)
            for label, spec in made.items():
                if spec.key not in found.specs:
                    found.specs[spec.key] = like[arm, condition, label] = _sharing(
                        spec, like.get((arm, condition, label))
                    )
            runs[arm, condition, seed] = Planned(arm, condition, seed, folder, keys)
    found.runs += [runs[place] for place in comparison.runs()]
    _check(comparison, found)
    return found


def _sharing(spec: Spec, like: Spec | None) -> Spec:
    """The same with the settings of one of another seed in the place of equal ones: 10,000 runs stay in memory."""
    names = ("parts", "training", "views", "average")
    return replace(spec, **{n: getattr(like, n) for n in names if like and getattr(like, n) == getattr(spec, n)})


def _prepared(comparison: Comparison, store: Store) -> Iterator[tuple[tuple[str, str, int], Prepared]]:
    """All runs; those that share a condition and a seed, and so a split, follow one another."""
    seeds = range(comparison.first_seed, comparison.first_seed + comparison.seeds)
    for condition, arms in comparison.requests.items():
        made = [of_seeds(comparison.request(arm, condition, seeds[0]), seeds, store.data) for arm in arms]
        for seed in seeds:
            for arm, prepared in zip(arms, made, strict=True):
                yield (arm, condition, seed), next(prepared)


def _folder(store: Store, name: str, digest: str, keys: dict[str, str]) -> str:
    """Name of a run's folder: the first that is free, or has these stages.

    A run by hand with other threads, or of other sources, may have the usual one, or one that has lost a stage since.
    """
    folder, number = store.run_folder(name, digest), 1
    while (folder / "run.json").is_file() and not _is_of(folder, store, keys):
        number += 1
        folder = store.run_folder(f"{name}-{number}", digest)
    return folder.name


def _is_of(folder: Path, store: Store, keys: dict[str, str]) -> bool:
    with contextlib.suppress(UserError):  # a damaged one is left alone
        whole = not is_done(folder) or all(map(store.finished, keys.values()))
        return whole and read_run(folder)["stages"] == keys
    return False


def decided(config: Config) -> Machine:
    """The machine that a comparison's configuration names, without asking whether it is here."""
    if "auto" in (config.device, config.precision) or config.threads is None:
        return resolve_machine(config)
    return Machine(config.device, config.precision, config.threads)


def _check(comparison: Comparison, found: Survey) -> None:
    asked = {key for keys in comparison.arms.values() for key in keys}
    heads: dict[tuple[str, int, str], Planned] = {}
    for run in found.runs:
        for label in run.stages:
            head = heads.setdefault((run.condition, run.seed, label), run)
            if run.stages[label] == head.stages[label]:
                continue
            apart = unasked(found.spec(run, label), found.spec(head, label), asked)
            if apart:
                raise UserError(
                    f"{run.condition}, seed {run.seed}, {label}: {run.arm!r} and {head.arm!r} differ in "
                    f"{', '.join(apart)}, which was not asked for; set it for all arms, or vary it"
                )


def row_names(runs: list[Planned]) -> dict[tuple[str, str, str], str]:
    """(condition, arm, label) -> row. A control has its arm in the name where arms do not share it."""
    keys: dict[tuple[str, str, int], set[str]] = {}
    for run in runs:
        for label, key in run.stages.items():
            keys.setdefault((run.condition, label, run.seed), set()).add(key)
    shared = {(c, label) for c, label, _ in keys} - {
        (c, label) for (c, label, _), found in keys.items() if len(found) > 1
    }
    return {
        (run.condition, run.arm, label): _row(run.arm, label, (run.condition, label) in shared)
        for run in runs
        for label in run.stages
    }


def _row(arm: str, label: str, shared: bool) -> str:
    if label in ("semi", arm):
        return arm
    return label if shared and label in CONTROLS else f"{label}, {arm}"


def distinct(found: Survey, comparison: Comparison) -> dict[str, dict[str, dict[str, tuple[Any, Any]]]]:
    """Condition -> row -> what it differs in from the reference (from the first arm, where finetune is that)."""
    names = row_names(found.runs)
    made = {}
    for condition in dict.fromkeys(run.condition for run in found.runs):
        rows = {
            names[condition, run.arm, label]: (found.spec(run, label), run.arm if label == "semi" else "")
            for run, label in _ends(found.first(condition))
        }
        base = comparison.reference if comparison.reference in rows else next(iter(rows), "")
        made[condition] = {
            row: _apart(found, spec, rows[base][0], comparison.arms.get(arm, {}))
            for row, (spec, arm) in rows.items()
            if row != base
        }
    return made


def _apart(found: Survey, this: Spec, other: Spec, asked: Flat) -> dict[str, tuple[Any, Any]]:
    """What two stages differ in, and what the stages before them do.

    Args:
        asked: keys that make the arm; of parts that the other does not have they are named, too.
    """
    before, theirs = found.before(this), found.before(other)
    made = {} if [*before] == [*theirs] else {"stages before": (", ".join(theirs), ", ".join(before))}
    for stage in before.keys() & theirs.keys():
        made |= differences(before[stage], theirs[stage])
    made |= differences(this, other)
    own = settings(this)
    parts = {key.partition(".")[0] for key in made if key.endswith(".name")}
    return made | {k: (None, own[k]) for k in asked if k not in made and k in own and k.partition(".")[0] in parts}


def _ends(runs: dict[str, Planned]) -> Iterator[tuple[Planned, str]]:
    """Runs with the labels of the stages that stand side by side: finetune+ and semi."""
    for run in runs.values():
        yield from ((run, label) for label in ("finetune+", "semi") if label in run.stages)


def sentences(made: dict[str, dict[str, dict[str, tuple[Any, Any]]]]) -> list[str]:
    """What rows differ in, for people; said once where it is the same under all conditions."""
    said: dict[str, list[str]] = {}
    for condition, rows in made.items():
        for row, keys in rows.items():
            words = "; ".join(f"{key} {_word(b)} -> {_word(a)}" for key, (b, a) in keys.items() if _word(b) != _word(a))
            said.setdefault(f"{row}: {words or 'the same stage'}", []).append(condition)
    return [line if len(c) == len(made) else f"{line} ({'; '.join(c)})" for line, c in said.items()]


def _word(value: Any) -> str:
    text = "none" if value is None else f"[{value}]" if isinstance(value, str) and ", " in value else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def leaves(found: Survey) -> set[str]:
    """Keys of stages that no other stage of these runs starts from."""
    return found.specs.keys() - {spec.parent for spec in found.specs.values()}
