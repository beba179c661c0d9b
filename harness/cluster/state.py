"""What became of stages that were submitted: what Slurm knows of their jobs, and what these left in their folders.

The store is asked first, by who uses this. Slurm is asked next; its accounting last, and only for the word by which a
job has ended: what neither knows and what left no result has failed.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sslkit.harness.cluster import slurm, submissions
from sslkit.harness.cluster.submissions import Submission

TAIL = 4000  # bytes of a log that are looked at


@dataclass(frozen=True)
class Place:
    """The job that was to train a stage."""

    submission: Submission
    task: int
    seen: slurm.Seen | None  # None: Slurm does not know it

    @property
    def lives(self) -> bool:
        return self.seen is not None and self.seen.lives

    @property
    def not_launched(self) -> bool:
        return self.seen is not None and self.seen.not_launched

    @property
    def job(self) -> str:
        return f"{self.submission.id}_{self.task}"

    @property
    def log(self) -> Path:
        return self.submission.log(self.task)

    @property
    def state(self) -> str:
        """How it ended, in a word of Slurm's: OUT_OF_MEMORY."""
        if self.seen is not None:
            return self.seen.state
        with suppress(slurm.Silent):
            return slurm.last_state(self.job) or "UNKNOWN"
        return "UNKNOWN"

    @property
    def cut_off(self) -> bool:
        """Whether it ended by no decision of a person, and not for lack of memory."""
        return self.state in (*slurm.CUT_OFF, "FAILED", "UNKNOWN")

    @property
    def never_began(self) -> bool:
        """Whether Slurm lost it before it began."""
        return self.state == "UNKNOWN" and not self.log.exists()

    def why(self, key: str) -> str:
        """Why there is no result of a stage, with the last line of the log and its path."""
        own = self.submission.failures(self.task).get(key)
        if own:
            return f"{own} (job {self.job})"
        state = self.state
        said = ending(self.log)
        words = {
            "OUT_OF_MEMORY": "ran out of memory; ask for more, as in mem=4G",
            "COMPLETED": "ended and left no result",
            "UNKNOWN": "is not known to Slurm any more, and left no result",
        }
        if state == "FAILED" and "memory limit" in said.lower():  # as where Slurm kills by polling, without cgroups
            state = "OUT_OF_MEMORY"
        return f"job {self.job} {words.get(state, f'ended as {state}')}; {said}{self.log}"


def places(comparison: Path, keys: Collection[str]) -> dict[str, Place]:
    """Key -> the job that trains it or was the last to, of these stages, as far as any was submitted.

    Jobs of other comparisons in the store count, too.

    Raises:
        Silent: Slurm does not answer.
    """
    wanted = set(keys)
    made = submissions.of(comparison.parent / "*")
    made = [one for one in made if any(not wanted.isdisjoint(stages) for stages in one.tasks.values())]
    seen = slurm.jobs({one.name for one in made})
    ids = {name: job.id.partition("_")[0] for (name, _), job in seen.items()}
    found: dict[str, Place] = {}
    for one in made:
        if not one.id and one.name not in ids:
            continue  # never submitted
        if not one.id:
            one.submitted(ids[one.name])
        for task, stages in one.tasks.items():
            place = Place(one, task, seen.get((one.name, task)))
            for key in wanted.intersection(stages):
                if place.lives or key not in found or not found[key].lives:
                    found[key] = place
    return found


def ending(log: Path) -> str:
    """The last line of a log, for a sentence."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return f"its log ends in {lines[-1]!r}; " if lines else ""
    return ""
