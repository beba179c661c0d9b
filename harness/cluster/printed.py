"""`--cluster print`: the jobs as files, for a Slurm elsewhere (`submit.sh`) and for other schedulers (`jobs.txt`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sslkit.harness.cluster import script, submissions
from sslkit.harness.cluster.driver import Detached
from sslkit.harness.cluster.forest import Array
from sslkit.harness.cluster.jobs import missing
from sslkit.harness.cluster.send import Sender
from sslkit.harness.cluster.submissions import Submission
from sslkit.harness.plan.survey import Survey
from sslkit.harness.work.execute import Report, Task
from sslkit.store import Store
from sslkit.store.files import write_text
from sslkit.terminal import count

MOST = 1000  # jobs of an array, as Slurm has it where nobody changed that


@dataclass(frozen=True)
class Printer:
    """Writes what a driver would submit."""

    folder: Path  # of the comparison
    options: Mapping[str, str]  # of sbatch
    found: Survey
    seconds: Callable[[], dict[str, float]]
    bundle: float
    console: Console

    def __call__(self, tasks: Sequence[Task], jobs: int | None, report: Report) -> None:
        """Write the files.

        Raises:
            Detached: they are written, or nothing is missing.
        """
        if not tasks:
            return
        todo = missing(tasks, self.found, self.seconds())
        sender = Sender(Store(tasks[0].runs), self.folder, todo, self.options, self.bundle, jobs, tasks[0].plugins)
        with submissions.alone(self.folder):
            arrays = sender.arrays(todo.pieces, {}, MOST)
            made = list(sender.written(arrays, None))
        write_text(self.folder / submissions.FOLDER / "submit.sh", "\n".join(_submit(made)) + "\n")
        write_text(self.folder / submissions.FOLDER / "jobs.txt", "\n".join(_jobs(made)) + "\n")
        where = self.folder / submissions.FOLDER
        total = count(sum(len(array.jobs) for array in arrays), "job")
        raise Detached(
            f"{total} for {count(len(todo.pieces), 'stage')}: `bash {where}/submit.sh` submits them to a Slurm; for "
            f"other schedulers {where}/jobs.txt has a line a job: level, minutes, command; a level begins when "
            "those before it have ended. The same command without --cluster print collects the results"
        )


def _submit(made: Sequence[tuple[Array, Submission]]) -> Iterator[str]:
    yield "#!/usr/bin/env bash"
    yield "set -euo pipefail"
    for number, (array, submission) in enumerate(made):
        waits = " ".join(script.waiting(array, f"$job{array.before}" if array.before is not None else ""))
        yield f"job{number}=$(sbatch --parsable {waits} '{submission.folder / submissions.SCRIPT}')"
        yield f"echo \"${{job{number}%%;*}}\" | tee '{submission.folder / submissions.ID}'"


def _jobs(made: Sequence[tuple[Array, Submission]]) -> Iterator[str]:
    for array, submission in sorted(made, key=lambda one: one[0].level):
        for number, job in array.jobs.items():
            yield f"{array.level}\t{max(1, round(job.seconds / 60))}\t{script.command(submission, str(number))}"
