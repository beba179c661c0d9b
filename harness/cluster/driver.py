"""The program that submits a comparison's jobs and collects what they give. It may be killed: the next one attaches.

All that it needs to know is in the store: finished stages, runs, and what was submitted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from sslkit.errors import Stopped
from sslkit.harness.cluster import slurm
from sslkit.harness.cluster.jobs import Missing, missing
from sslkit.harness.cluster.send import Sender
from sslkit.harness.cluster.state import Place, places
from sslkit.harness.plan.survey import Planned, Survey
from sslkit.harness.work.execute import Report, Task, one
from sslkit.record import read_run
from sslkit.store import Store, is_done
from sslkit.terminal import count, say
from sslkit.training.stage import checkpoints

POLL, SLOWEST = 1.0, 15.0  # seconds between looks, at first and later
SURE, TOLD = 4, 2  # looks in which nobody has a stage before it counts as lost; where Slurm says that its job has ended
LAUNCHES = 3
T = TypeVar("T")


class Detached(Exception):
    """The jobs go on by themselves, as was asked for."""


@dataclass
class Driver:
    """Carries out a comparison by jobs, as `execute` does by processes."""

    folder: Path  # of the comparison
    options: Mapping[str, str]  # of sbatch
    found: Survey
    seconds: Callable[[], dict[str, float]]  # key -> those that a stage will take
    console: Console
    bundle: float  # minutes
    detach: bool = False
    lost: Counter[str] = field(default_factory=Counter)  # key -> looks in a row in which nobody had it
    begun: dict[str, str] = field(default_factory=dict)  # key -> its last checkpoint when it was submitted
    again: set[str] = field(default_factory=set)  # keys that were submitted a second time
    launched: Counter[str] = field(default_factory=Counter)  # job -> how often it was released
    said: str = ""  # last, of how the jobs stand
    pause: float = POLL

    def __call__(self, tasks: Sequence[Task], jobs: int | None, report: Report) -> None:
        """Submit what is missing and no job trains yet; report every run as it ends.

        Raises:
            UserError: Slurm refuses the jobs.
            Detached: they are submitted, and none is waited for.
            Stopped: interrupted; the jobs go on.
        """
        if not tasks:
            return
        self.store, waiting = Store(tasks[0].runs), list(tasks)
        self.todo: Missing = missing(tasks, self.found, self.seconds())
        self.send = Sender(self.store, self.folder, self.todo, self.options, self.bundle, jobs, tasks[0].plugins)
        try:
            self._submit(self._open())
            while waiting := self._collected(waiting, report):
                if self.detach:
                    raise Detached(f"{count(len(waiting), 'run')} to come; the same command collects them")
                time.sleep(self.pause)
                self.pause = min(SLOWEST, 1.2 * self.pause)
        except KeyboardInterrupt:
            raise Stopped(f"the jobs go on; scancel --name={','.join(self._names())} ends them") from None

    def _open(self) -> set[str]:
        """Keys of stages that are not finished."""
        return {key for key in self.todo.pieces if not self.todo.there(self.store, key)}

    def _names(self) -> list[str]:
        found = self._patiently(lambda: places(self.folder, self._open()))
        return sorted({place.submission.name for place in found.values() if place.lives})

    def _submit(self, keys: set[str]) -> None:
        self.lost.clear()
        self.begun |= {key: self._progress(key) for key in keys}
        had, made = self._patiently(lambda: self.send(keys))
        attached = [f"attached to jobs that train {count(had, 'stage')}"] if had else []
        submitted = [f"submitted {count(made, 'job')} for {count(len(keys) - had, 'stage')}"] if made else []
        for line in (*attached, *submitted):
            say(self.console, line)

    def _patiently(self, ask: Callable[[], T]) -> T:
        """What an answer of Slurm gives, however long that takes."""
        while True:
            try:
                return ask()
            except slurm.Silent as error:
                say(self.console, f"Slurm does not answer ({error}); it is asked again")
                time.sleep(SLOWEST)

    def _collected(self, waiting: Sequence[Task], report: Report) -> list[Task]:
        """The runs that are still to come; the others are reported."""
        found = self._patiently(lambda: places(self.folder, self._open()))
        missing = self._open()  # after Slurm was asked: what it says has ended has left what it leaves
        self._tell(found, missing)
        self._patiently(lambda: self._launch({place.job for place in found.values() if place.not_launched}))
        self.lost = Counter({key: self.lost[key] + 1 for key in missing if not (key in found and found[key].lives)})
        told = {key for key, place in found.items() if place.seen}
        gone = {key for key, looks in self.lost.items() if looks >= (TOLD if key in told else SURE)}
        self.pause = POLL if self.lost.keys() - gone else self.pause
        again = {key for key in gone if self._goes_on(key, gone, found)}
        if again:
            self.again |= again
            self._submit(again)
        left = []
        for task in waiting:
            mine = [key for key in task.planned.stages.values() if key in missing]
            if not mine:
                report(self._finished(task))
            elif all(key in gone - again for key in mine):
                report(replace(task.planned, run="", error=self._why(task.planned, mine[0], found)))
            else:
                left.append(task)
        return left

    def _launch(self, jobs: set[str]) -> None:
        """Release jobs that Slurm could not launch; what it cannot launch three times is cancelled."""
        for job in jobs:
            self.launched[job] += 1
            (slurm.release if self.launched[job] <= LAUNCHES else slurm.cancel)(job)

    def _finished(self, task: Task) -> Planned:
        """A run whose stages are all there; its results were written by its last job, or are now."""
        planned = task.planned
        folder = self.store.root / planned.folder
        if is_done(folder) and read_run(folder)["stages"] == planned.stages and not task.keep:
            return replace(planned, run=planned.folder, error="")
        return one(task)

    def _goes_on(self, key: str, gone: set[str], found: Mapping[str, Place]) -> bool:
        """Whether a stage without a job is submitted again: its job, or one before it, got further and was cut off.

        So is one that never began, and that Slurm lost, as where its controller was killed before it saved its state.
        """
        parent = self.todo.pieces[key].parent
        if parent in gone:
            return self._goes_on(parent, gone, found)
        place = found.get(key)
        if place is None or key in place.submission.failures(place.task) or not place.cut_off:
            return False
        if place.never_began:
            return key not in self.again
        return self._progress(key) != self.begun.get(key)

    def _progress(self, key: str) -> str:
        """The name of its last checkpoint, which has the step."""
        return max((file.name for file in checkpoints(self.store.stages / f".{key}")), default="")

    def _why(self, run: Planned, key: str, found: Mapping[str, Place]) -> str:
        label = next(label for label, k in run.stages.items() if k == key)
        place = found.get(key)
        return f"{label}: {place.why(key) if place else 'no job was submitted for it'}"

    def _tell(self, found: Mapping[str, Place], missing: set[str]) -> None:
        """Say how the jobs stand, where that has changed."""
        jobs = {place.job: place.seen for key, place in found.items() if key in missing and place.seen and place.lives}
        states: Counter[str] = Counter()
        for seen in jobs.values():
            why = f" ({seen.reason})" if seen.reason else ""
            states["running" if seen.state == "RUNNING" else f"waiting{why}"] += 1
        words = ", ".join(f"{n} {what}" for what, n in sorted(states.items()))
        if words and words != self.said:
            say(self.console, f"jobs: {words}")
        self.said = words
