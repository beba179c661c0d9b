"""From runs to submissions: which stages are missing, how they are bundled, and what sbatch is asked for."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sslkit.errors import UserError
from sslkit.harness.cluster.forest import Array, Piece, arrays, bundled
from sslkit.harness.plan.arms import Comparison
from sslkit.harness.plan.survey import Survey, row_names
from sslkit.harness.plan.times import FITTED, stage_seconds
from sslkit.harness.work.execute import Task
from sslkit.store import Store, read_json

GPU_FLOPS = 5e12  # a second, of a GPU that is not here, as small batches have them
LEAST, MOST = 10, 24 * 60  # minutes that are asked for a job
GPUS = ("gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket", "gres")


@dataclass(frozen=True)
class Missing:
    """What is to be trained."""

    pieces: dict[str, Piece]  # by key
    weights: set[str]  # keys of those that are finished, and lack weights that others start from

    def there(self, store: Store, key: str) -> bool:
        return store.there(key, key in self.weights)


def missing(tasks: Sequence[Task], found: Survey, seconds: Mapping[str, float]) -> Missing:
    """The stages of these runs that are not finished, or whose weights are missing and needed."""
    pieces: dict[str, Piece] = {}
    weights: set[str] = set()
    for task in tasks:
        store, wanted, mine = Store(task.runs), set[str](), dict[str, Piece]()
        for key in reversed(task.planned.stages.values()):
            if not store.there(key, key in wanted or task.keep):
                mine[key] = Piece(key, found.specs[key].parent, seconds[key])
                wanted.add(mine[key].parent)
                weights |= {key} if store.finished(key) else set()
        pieces |= reversed(mine.items())
    return Missing(pieces, weights)


def estimates(
    comparison: Comparison, found: Survey, store: Store, costs: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> dict[str, float]:
    """Key -> seconds that a stage will take: timed here, and for a GPU that is not here by its operations."""
    timed = stage_seconds(comparison, found, store.data, store.data)
    if timed is not None:
        return timed
    names, seconds = row_names(found.runs), {}
    for run in found.runs:
        for label, key in run.stages.items():
            cost = costs.get(run.condition, {}).get(names[run.condition, run.arm, label])
            seconds[key] = cost["flops"] * cost["steps"] / GPU_FLOPS if cost else FITTED
    return seconds


def plan(pieces: Collection[Piece], live: Mapping[str, str], bundle: float, most: int) -> list[Array]:
    """The arrays to submit, in this order.

    Args:
        live: key -> id of the job that trains it already.
        bundle: minutes that a job has at least.
        most: jobs of an array.
    """
    return arrays(bundled(list(pieces), live, 60 * bundle), most)


def resources(options: Mapping[str, str], machine: Mapping[str, object]) -> dict[str, str]:
    """The options with what the comparison's machine takes: threads, and a GPU where it has one."""
    found = dict(options)
    found.setdefault("cpus-per-task", str(machine["threads"]))
    if machine["device"] == "cuda" and not any(name in found for name in GPUS):
        found["gpus-per-node"] = "1"
    return found


def minutes(array: Array, longest: float | None) -> int:
    """Time of a job: twice what it will take and ten minutes, at most a day, as it runs again where that ends early."""
    expected = LEAST + 2 * max(job.seconds for job in array.jobs.values()) / 60
    return math.ceil(min(expected, MOST, longest or MOST))


def shares(made: Sequence[Array], jobs: int | None) -> list[int | None]:
    """How many jobs of each array at a time: arrays that wait for equally many others share `jobs`."""
    if jobs is None:
        return [None] * len(made)
    levels: dict[int, int] = {}
    for array in made:
        levels[array.level] = levels.get(array.level, 0) + len(array.jobs)
    return [max(1, jobs * len(array.jobs) // levels[array.level]) for array in made]


def took(store: Store, found: Survey) -> int:
    """Bytes that a stage with a network of this comparison took before, in this store, at most; 0 where none did."""
    kinds = {_kind(vars(spec)) for spec in found.specs.values()}
    most = 0
    for file in store.stages.glob("*/spec.json"):
        with suppress(UserError, KeyError):  # damaged, or being trained
            if _kind(read_json(file)) in kinds:
                most = max(most, read_json(file.with_name("result.json")).get("memory") or 0)
    return most


def _kind(spec: Mapping[str, Any]) -> tuple[str, str, str]:
    return spec["parts"]["backbone"]["name"], spec["device"], str(spec["data"]["size"])
