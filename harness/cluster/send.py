"""Submitting: the arrays of the stages that no job trains yet, each with what it waits for."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslkit.errors import UserError
from sslkit.harness.cluster import script, slurm, submissions
from sslkit.harness.cluster.forest import Array
from sslkit.harness.cluster.jobs import Missing, minutes, plan, shares
from sslkit.harness.cluster.state import places
from sslkit.harness.cluster.submissions import Submission
from sslkit.store import PathLike, Store


@dataclass(frozen=True)
class Sender:
    """How jobs are submitted."""

    store: Store
    folder: Path  # of the comparison
    todo: Missing
    options: Mapping[str, str]  # of sbatch
    bundle: float  # minutes that a job has at least
    jobs: int | None  # at a time
    plugins: Sequence[PathLike]

    def __call__(self, keys: Collection[str]) -> tuple[int, int]:
        """Submit these stages, unless a job has them; how many a job had, and how many jobs were submitted.

        Raises:
            UserError: Slurm refuses them.
            Silent: Slurm does not answer; some may be submitted, which the next call finds.
        """
        with submissions.alone(self.folder) as descriptor:
            live = {key: place.job for key, place in places(self.folder, keys).items() if place.lives}
            missing = {key for key in keys if not self.todo.there(self.store, key)}  # now that Slurm was asked
            arrays = self.arrays(missing - live.keys(), live, slurm.largest_array())
            ids: list[str] = []
            for array, made in self.written(arrays, slurm.longest(self.options.get("partition", ""))):
                waits = script.waiting(array, ids[array.before] if array.before is not None else "")
                try:
                    ids.append(slurm.submit(made.folder / submissions.SCRIPT, waits, descriptor))
                except UserError:
                    shutil.rmtree(made.folder)
                    raise
                made.submitted(ids[-1])
            return len(live), sum(len(array.jobs) for array in arrays)

    def arrays(self, keys: Collection[str], live: Mapping[str, str], most: int) -> list[Array]:
        pieces = [piece for key, piece in self.todo.pieces.items() if key in keys]
        return plan(pieces, live, self.bundle, most)

    def written(self, arrays: Sequence[Array], longest: float | None) -> Iterator[tuple[Array, Submission]]:
        """The arrays with their submissions, each of which is stored just before it is needed."""
        plugins = [str(Path(plugin).absolute()) for plugin in self.plugins]
        for array, share in zip(arrays, shares(arrays, self.jobs), strict=True):
            tasks = {number: job.keys for number, job in array.jobs.items()}
            weights = self.todo.weights.intersection(key for keys in tasks.values() for key in keys)
            made = Submission(submissions.new_folder(self.folder), tasks, sorted(weights), plugins)
            options = {"time": str(minutes(array, longest)), **self.options}
            made.write(script.text(made, array, options, share))
            yield array, made
