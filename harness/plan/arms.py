"""Which runs a comparison has: arms times conditions times seeds, matched in all that is not varied."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sslkit import registry
from sslkit.config import STAGES, Flat, flatten
from sslkit.config.data import NO_TEST
from sslkit.config.resolve import SLOTS, named, options
from sslkit.errors import UserError
from sslkit.frozen import OnFeatures
from sslkit.prepare import prepare

CONTROLS = ("finetune", "finetune+", "probe")  # rows that runs bring beside their own, where they have such stages
OWN = ("algo", *SLOTS)  # sections that belong to a method; all others are the same in every arm


@dataclass(frozen=True)
class Comparison:
    """What is trained, and what is compared with what."""

    arms: dict[str, Flat]  # label -> keys that make the arm
    conditions: dict[str, Flat]  # label -> keys that make the group of rows
    requests: dict[str, dict[str, Flat]]  # condition -> arm -> all keys of its runs, but for the seed
    seeds: int
    reference: str = "finetune+"
    remarks: list[str] = field(default_factory=list)
    machine: Flat = field(default_factory=dict)  # device and precision, decided once for all runs
    first_seed: int = 0

    def request(self, arm: str, condition: str, seed: int) -> Flat:
        keys = self.requests[condition][arm]
        decided = {key: value for key, value in self.machine.items() if keys.get(key, "auto") == "auto"}
        return keys | decided | {"seed": seed}

    def runs(self) -> list[tuple[str, str, int]]:
        """Arm, condition and seed of every run; neighbours have different seeds, so that they share no stage."""
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        return [(a, c, s) for c, arms in self.requests.items() for a in arms for s in seeds]

    @property
    def digest(self) -> str:
        """8 hexadecimal digits, of what was asked for."""
        asked = {k: v for k, v in asdict(self).items() if k not in ("remarks", "machine")}
        if not self.first_seed:  # as before there was such a thing
            del asked["first_seed"]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


def product(base: Mapping[str, Any], varied: Mapping[str, Sequence[Any]], remarks: list[str]) -> dict[str, Flat]:
    """Label -> keys of all combinations of values, as {"algo.name": ["fixmatch", "ema_teacher"]}."""
    common = named(base)
    arms: dict[str, Flat] = {}
    for values in itertools.product(*varied.values()):
        keys = _applicable(dict(zip(varied, values, strict=True)), common, remarks)
        arms.setdefault(_label(keys, varied, common), keys)
    return arms


def plan(
    base: Mapping[str, Any],
    arms: Mapping[str, Mapping[str, Any]],
    conditions: Mapping[str, Sequence[Any]],
    seeds: int,
    reference: str = "finetune+",
    remarks: Sequence[str] = (),
    cache: Path | None = None,
    settings: Callable[[Collection[str]], Flat] = lambda called: {},
    first_seed: int = 0,
) -> Comparison:
    """The comparison of arms under all combinations of `conditions`.

    Args:
        base: keys of all runs.
        arms: label -> keys that make the arm.
        conditions: key -> values that make the groups of rows, as {"data.labels": ["4/class"]}.
        seeds: how many every arm has.
        reference: the row that others are compared with: an arm, finetune or finetune+.
        remarks: what is to be said before.
        cache: folder of decoded images, as of `prepare`.
        settings: keys beneath `base` of the runs whose condition's values and arm are called so.
        first_seed: of the seeds, which follow one another.

    Raises:
        UserError: unknown names, no seeds, an unknown reference.
    """
    if seeds < 1:
        raise UserError(f"--seeds must be 1 or more, got {seeds}")
    if first_seed < 0:
        raise UserError(f"--first-seed must be 0 or more, got {first_seed}")
    if reference not in (*CONTROLS, *arms):
        raise UserError(f"--reference {reference!r} is none of {', '.join((*CONTROLS, *arms))}")
    said, own = list(remarks), {_arm(label): unseeded(named(keys)) for label, keys in arms.items()}
    asked = dict(own)
    groups = {
        _plain(", ".join(map(str, values))) or "all": dict(zip(conditions, values, strict=True))
        for values in itertools.product(*conditions.values())
    }
    requests = {}
    for group, condition in groups.items():
        whole = {}
        called = {str(value) for value in (*condition.values(), base.get("data.name"))}
        for label, keys in own.items():
            beneath, without = unseeded(named(settings({*called, label}))), named(settings(called))
            asked[label] = asked[label] | {k: v for k, v in beneath.items() if without.get(k) != v}
            common = {"control.run": True} | beneath | named(base) | condition
            whole[label] = _known(common, keys, own.values()) | keys
        requests[group] = _match(group, whole, {key for keys in asked.values() for key in keys}, said, cache)
    return Comparison(asked, groups, requests, seeds, reference, said, first_seed=first_seed)


def unseeded(keys: Flat) -> Flat:
    """The keys, which do not name a seed.

    Raises:
        UserError: they do, and no run would have it.
    """
    if "seed" in keys:
        raise UserError(
            f"seed={keys['seed']}: a comparison has the seeds 0, 1, ... of every arm; give --seeds N instead, and "
            "--first-seed M where they are to begin elsewhere"
        )
    return keys


def _plain(name: str) -> str:
    """A name that tables in all formats have room for."""
    if not name.isprintable():
        raise UserError(f"{name!r} has letters that cannot be printed in one line; call it otherwise")
    return name


def is_control(row: str) -> bool:
    """Whether a row is finetune or finetune+, or such a one of an arm of its own, as in `finetune+, a`."""
    return row.partition(",")[0] in CONTROLS


def _arm(label: str) -> str:
    """A name for an arm, which no row of another has."""
    if not label.strip() or is_control(label) or label in STAGES:
        taken = ", ".join(dict.fromkeys((*CONTROLS, *STAGES)))
        raise UserError(f"no arm can be called {label!r}: {taken} are other rows, and stages; call it otherwise")
    return _plain(label)


def _algorithm(keys: Flat, common: Flat) -> str:
    return str((common | keys).get("algo.name", "ema_teacher"))


def _applicable(keys: Flat, common: Flat, remarks: list[str]) -> Flat:
    """The keys that the arm's algorithm has a place for."""
    algorithm = _algorithm(keys, common)
    slots = registry.load("algorithm", algorithm).slots
    kept = {k: v for k, v in keys.items() if k.partition(".")[0] not in SLOTS or k.partition(".")[0] in slots}
    for key in keys.keys() - kept.keys():
        remark = f"{algorithm} has no {key.partition('.')[0]}, so {key} is not varied there"
        if remark not in remarks:
            remarks.append(remark)
    return kept


def _label(keys: Flat, varied: Mapping[str, Sequence[Any]], common: Flat) -> str:
    """What distinguishes an arm: names as they are, other keys with their values."""
    words = []
    for key, value in keys.items():
        if key.endswith(".name"):
            words.append(str(value))
        elif len(varied[key]) > 1:
            words.append(f"{key}={value}")
    return " x ".join(words) or _algorithm(keys, common)


def _match(
    group: str, arms: dict[str, Flat], varied: Collection[str], remarks: list[str], cache: Path | None
) -> dict[str, Flat]:
    """All arms with the first one's training, views and smoothing wherever a method's own defaults differ.

    The first one is that of the arms that take steps: a method on frozen features has no settings of training. Where no
    image is left for the pool there is one arm: finetune, the supervised row of all labels.
    """
    prepared = {label: prepare(keys, cache) for label, keys in arms.items()}
    resolved = {label: flatten(found.config) for label, found in prepared.items()}
    found = {label: registry.load("algorithm", str(own["algo.name"])) for label, own in resolved.items()}
    head = next((label for label, cls in found.items() if not issubclass(cls, OnFeatures)), next(iter(resolved)))
    first = resolved[head]
    if first.get("time"):
        raise UserError("time sets the steps by this machine's speed, so arms would differ; set steps instead")
    if first["data.test"] == NO_TEST:
        raise UserError("data.test=none measures nothing, and a comparison measures; drop it")
    if not len(prepared[head].split.pool):
        remarks.append(f"{group}: no image is left for the pool, so finetune alone is trained")
        return {"finetune": arms[head] | {"stages": str(first["stages"]).removesuffix(",semi")}}
    made = {}
    for label, own in resolved.items():
        keys = (k for k in own if k in first and not _asked(k, varied) and _shared(k))
        other = {k: first[k] for k in keys if first[k] != own[k]}
        if other:
            said = ", ".join(f"{key} {own[key]} -> {value}" for key, value in other.items())
            remark = f"{label}: matched to {head}: {said}"
            remarks.extend([remark] if remark not in remarks else [])
        made[label] = arms[label] | {key: "auto" if value is None else value for key, value in other.items()}
    return made


def _asked(key: str, varied: Collection[str]) -> bool:
    """Whether arms are asked to differ in a key; the steps of a stage follow from its epochs or images."""
    stage, _, name = key.partition(".")
    return key in varied or (name == "steps" and any(f"{stage}.{other}" in varied for other in ("epochs", "images")))


def _shared(key: str) -> bool:
    return key.partition(".")[0] not in OWN or key == "labeler.smoothing"


def _known(common: Flat, keys: Flat, arms: Collection[Flat]) -> Flat:
    """The common keys that this arm's parts have, and those that no arm has, which will be refused."""
    return {k: v for k, v in common.items() if _fits(k, common, keys) or not any(_fits(k, common, a) for a in arms)}


def _fits(key: str, common: Flat, keys: Flat) -> bool:
    """Whether the arm has a place for an option of a method's part."""
    section, _, name = key.partition(".")
    if section not in OWN or (name == "name" and section == "algo"):
        return True
    algorithm = registry.load("algorithm", _algorithm(keys, common))
    if section == "algo":
        return name in options(algorithm)
    if section not in algorithm.slots or name == "name":
        return section in algorithm.slots
    part = keys.get(f"{section}.name", common.get(f"{section}.name", algorithm.slots[section]))
    return name in options(registry.load(section, str(part)))
