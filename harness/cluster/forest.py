"""From stages to jobs: who starts from whom, short ones bundled, and arrays in which a task waits for one other.

Every stage starts from one other at most, so the stages are a forest, and so are the jobs. A job that waits for another
has its number: task i of an array waits for task i of the array before it, which is `aftercorr` of Slurm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Piece:
    """A stage to train."""

    key: str
    parent: str  # key of the stage that it starts from, or ""
    seconds: float  # that it will take, about


@dataclass
class Job:
    """Stages that one job trains in this order."""

    keys: list[str] = field(default_factory=list)
    seconds: float = 0.0
    below: list[Job] = field(default_factory=list)  # jobs that wait for this one

    def take(self, other: Job) -> None:
        self.keys += other.keys
        self.seconds += other.seconds
        self.below += other.below


@dataclass(frozen=True)
class Array:
    """Jobs that are submitted together."""

    jobs: dict[int, Job]  # by their number
    before: int | None = None  # place of the array that they wait for, task by task, in the list of all
    after: str = ""  # id of a job, submitted before, that all of them wait for
    level: int = 0  # how many arrays are before it


def bundled(pieces: Sequence[Piece], live: Mapping[str, str], least: float) -> dict[str, list[Job]]:
    """Id of a job -> the jobs that wait for it; of those that wait for none it is "".

    A job takes stages until it has `least` seconds: stages that start from the same one, or from none, stand side by
    side in one job; if these together are too short, they are done by the job that trains what they start from.

    Args:
        pieces: each after the one it starts from.
        live: key -> id of the job, submitted before, that trains this stage.
    """
    todo = {piece.key for piece in pieces}
    children: dict[str, list[Piece]] = {}
    roots: dict[str, list[Piece]] = {}
    for piece in pieces:
        where = (children, piece.parent) if piece.parent in todo else (roots, live.get(piece.parent, ""))
        where[0].setdefault(where[1], []).append(piece)

    def job(piece: Piece) -> Job:
        made = Job([piece.key], piece.seconds)
        for below in packed(map(job, children.get(piece.key, ())), least):
            if below.seconds < least:
                made.take(below)
            else:
                made.below.append(below)
        return made

    return {after: packed(map(job, found), least) for after, found in roots.items()}


def packed(jobs: Iterable[Job], least: float) -> list[Job]:
    """The jobs, short ones put together until they have `least` seconds; only the last may be shorter."""
    long, short = [], Job()
    for job in jobs:
        if job.seconds >= least:
            long.append(job)
            continue
        short.take(job)
        if short.seconds >= least:
            long.append(short)
            short = Job()
    return [*long, short] if short.keys else long


def arrays(jobs: Mapping[str, Sequence[Job]], most: int) -> list[Array]:
    """The jobs in arrays, each after the one that it waits for.

    Args:
        jobs: as `bundled` gives them.
        most: jobs of an array.
    """
    made: list[Array] = []

    def add(array: Array) -> None:
        place = len(made)
        made.append(array)
        for kth in range(max((len(job.below) for job in array.jobs.values()), default=0)):
            below = {i: job.below[kth] for i, job in array.jobs.items() if len(job.below) > kth}
            add(Array(below, place, level=array.level + 1))

    for after, found in jobs.items():
        for first in range(0, len(found), most):
            add(Array(dict(enumerate(found[first : first + most])), after=after))
    return made


def ranges(numbers: Iterable[int]) -> str:
    """[0, 1, 2, 5] -> "0-2,5", as Slurm writes the tasks of an array."""
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in _runs(sorted(numbers)))


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if last is not None and first is not None and number > last + 1:
            yield first, last
            first = None
        first, last = number if first is None else first, number
    if first is not None and last is not None:
        yield first, last
