"""A Slurm in this process: jobs run when they are told to, and end as they are told to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sslkit.harness.cluster import job, slurm
from sslkit.harness.cluster.submissions import Submission, read


@dataclass
class Slurm:
    """Stands for `sslkit.harness.cluster.slurm`."""

    works: bool = True  # jobs run at once when they are asked for
    forgets: bool = False  # ended jobs
    ending: str = ""  # how jobs end that are asked for, in the place of running
    later: int = 0  # looks after which they run
    silent: int = 0  # so many calls get no answer
    states: dict[tuple[str, int], slurm.Seen] = field(default_factory=dict)
    submitted: list[Submission] = field(default_factory=list)
    waits: list[Sequence[str]] = field(default_factory=list)

    def submit(self, script: Path, more: Sequence[str], descriptor: int) -> str:
        made = read(script.parent)
        number = str(len(self.submitted) + 1)
        self.submitted.append(made)
        self.waits.append(more)
        for task in made.tasks:
            self.states[made.name, task] = slurm.Seen(f"{number}_{task}", "PENDING", "Priority")
        return number

    def jobs(self, names: Collection[str]) -> dict[tuple[str, int], slurm.Seen]:
        if self.silent:
            self.silent -= 1
            raise slurm.Silent("Unable to contact slurm controller")
        if self.ending:
            self.end_all(self.ending)
        elif self.works and not self.later:
            self.run()
        self.later = max(0, self.later - 1)
        known = {at: seen for at, seen in self.states.items() if at[0] in names}
        return {at: seen for at, seen in known.items() if seen.lives} if self.forgets else known

    def run(self) -> None:
        """All that is pending, in the order of its submission."""
        for made in self.submitted:
            for task in made.tasks:
                if (made.name, task) in self.states and self.states[made.name, task].state == "PENDING":
                    code = job.main([str(made.folder), str(task)])
                    self.end("COMPLETED" if code == 0 else "FAILED", made, task)

    def end(self, state: str, made: Submission, task: int, reason: str = "None") -> None:
        self.states[made.name, task] = slurm.Seen(f"{made.id}_{task}", state, reason)

    def end_all(self, state: str, reason: str = "None") -> None:
        for made in self.submitted:
            for task in made.tasks:
                if (made.name, task) in self.states and self.states[made.name, task].lives:
                    made.log(task).write_text("one line\nKilled\n")
                    self.end(state, made, task, reason)


@contextmanager
def slurm_here(patch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """While entered, what asks Slurm asks this one."""
    made = Slurm()
    with patch.context() as here:
        for name in ("submit", "jobs"):
            here.setattr(slurm, name, getattr(made, name))
        here.setattr(slurm, "check", lambda options: None)
        here.setattr(slurm, "largest_array", lambda: 1000)
        here.setattr(slurm, "longest", lambda partition: None)
        here.setattr(slurm, "last_state", lambda job: "")
        here.setattr("sslkit.harness.cluster.driver.time.sleep", lambda seconds: None)
        here.setattr("sslkit.harness.plan.times.step_seconds", lambda *_: {})
        yield made
