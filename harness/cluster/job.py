"""What a job does: `python -m sslkit.harness.cluster.job FOLDER NUMBER` trains the stages of one task in turn.

It never waits for another process. Before its time ends, and when it is told to stop, it saves where it is; then it
asks Slurm to run it again. Without Slurm the same command goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sslkit.errors import Stopped, UserError, one_line
from sslkit.harness.cluster import slurm, submissions
from sslkit.harness.plan.arms import Comparison
from sslkit.harness.plan.survey import Planned, decided
from sslkit.harness.stored import ledger
from sslkit.harness.work.execute import Task, one
from sslkit.prepare import prepare, read_once
from sslkit.recipes import layers
from sslkit.record.stages import stages
from sslkit.store import Store, is_done
from sslkit.terminal.screen import Interrupt
from sslkit.training.stage import checkpoints
from sslkit.training.work import train

EARLY, SHARE = 120.0, 0.25  # a job stops this many seconds before its end, and at most this share of its time
TRIES, PAUSE = 30, 20.0  # of asking Slurm to run it again, where Slurm does not answer; seconds between
UNFINISHED = 75  # exit code of what is to be run again (EX_TEMPFAIL)


class Held(Exception):
    """Another process trains a stage."""


@dataclass
class Work:
    """One task of a submission."""

    submission: submissions.Submission
    task: int
    stop: Callable[[], bool]
    failures: dict[str, str] = field(default_factory=dict)  # key -> why
    held: dict[str, str] = field(default_factory=dict)  # key -> what another process does

    def __post_init__(self) -> None:
        about = ledger.read(self.submission.comparison)
        self.comparison = Comparison(**about["comparison"])
        self.runs = [Planned(**run) for run in about["runs"]]
        self.keep = bool(about["keep"])
        self.store = Store(self.submission.runs)
        self.store.prepare()
        self.failures = self.submission.failures(self.task)

    def __call__(self) -> bool:
        """Train what is missing; whether any of it is there at the end.

        Raises:
            Stopped: to be gone on with.
            Held: another process trains one of the stages; all others were trained.
        """
        keys = self.submission.tasks[self.task]
        for key in keys:
            if self.stop():
                raise Stopped("no time is left")
            if key in self.failures:
                say(f"left out: {self._name(key)}, which failed before: {self.failures[key]}")
            if key in self.failures or self._there(key):
                continue
            try:
                self._train(key)
            except Held as error:
                self.held[key] = str(error)
            except UserError as error:
                self._failed(key, str(error))
            except (Stopped, KeyboardInterrupt):
                raise
            except Exception as error:  # a part's own mistake, as `execute` has it
                self._failed(key, one_line(error))
        if self.held:
            raise Held(next(iter(self.held.values())))
        self._conclude(set(keys))
        return any(map(self._there, keys))

    def reached(self) -> list[str]:
        """What there is of its stages: finished ones, and the last checkpoint of the others."""
        folders = [
            (self.store.finished(key), self.store.stages / f".{key}") for key in self.submission.tasks[self.task]
        ]
        return [str(done or max(map(str, checkpoints(begun)), default="")) for done, begun in folders]

    def too_short(self) -> None:
        """Note that the time of a job is over before it has done anything."""
        key = next(key for key in self.submission.tasks[self.task] if key not in self.failures and not self._there(key))
        self._failed(key, "the time of its job was over before a step was done; ask for more, as in time=60 (minutes)")

    def _there(self, key: str) -> bool:
        return self.store.there(key, key in self.submission.weights)

    def _failed(self, key: str, why: str) -> None:
        say(f"failed: {self._name(key)}: {why}")
        self.failures[key] = why
        self.submission.fail(self.task, self.failures)

    def _place(self, key: str) -> tuple[Planned, str]:
        return next((run, label) for run in self.runs for label, k in run.stages.items() if k == key)

    def _name(self, key: str) -> str:
        run, label = self._place(key)
        return f"{label} of {run.arm}, {run.condition}, seed {run.seed}"

    def _train(self, key: str) -> None:
        run, label = self._place(key)
        request = layers(None, None, self.comparison.request(run.arm, run.condition, run.seed), self.submission.plugins)
        prepared = prepare(request, self.store.data)
        machine = decided(prepared.config)
        stage = next((stage for stage in stages(prepared, machine) if stage.label == label), None)
        if stage is None or stage.spec.key != key:
            raise UserError("sources or machine are not those of the plan; the same `sslkit compare` plans anew")
        parent = self.store.stages / stage.spec.parent if stage.spec.parent else None
        if parent and parent.name in self.held:
            raise Held(self.held[parent.name])
        if parent and not self.store.finished(parent.name):
            raise UserError(f"{stage.parent}, which it starts from, is not finished")
        name = self._name(key)
        own = prepared.of(label)
        machine.use()
        with self.store.working(key, lambda: _leave(name), key in self.submission.weights) as folder:
            if folder is not None:
                began = time.perf_counter()
                say(f"{name}: begins")
                train(
                    stage.spec, own.images, own.split, folder, parent, stage.weights, self.store.features,
                    save_every=120.0, report=lambda done, line: None, stop=self.stop, say=say,
                )  # fmt: skip
        if folder is not None:
            say(f"{name}: finished, {time.perf_counter() - began:.0f} s")

    def _conclude(self, keys: set[str]) -> None:
        """Write the results of the runs whose last stage was among these: the images are in memory here."""
        for run in self.runs:
            if keys.isdisjoint(run.stages.values()) or is_done(self.store.root / run.folder):
                continue
            if all(map(self.store.finished, run.stages.values())):
                request = self.comparison.request(run.arm, run.condition, run.seed)
                plugins = tuple(self.submission.plugins)
                done = one(Task(run, request, self.store.root, plugins, keep=False))
                say(f"{run.folder}: {done.error or 'all stages are finished'}")


def _leave(name: str) -> None:
    raise Held(f"another process trains {name}")


def say(sentence: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {sentence}", flush=True)


def ends_at(told: dict[str, str], now: float) -> float:
    """When a job is to stop by itself: before the end that Slurm tells, with time to save.

    It asks the clock, not for a signal (`sbatch --signal`), which Slurm may send a minute early: of a time of a minute
    nothing would be left.
    """
    with suppress(KeyError, ValueError):  # Unknown: it has no end
        end = datetime.fromisoformat(told["EndTime"]).timestamp()
        return end - min(EARLY, SHARE * (end - now))
    return float("inf")


def again(job: str) -> None:
    """Ask Slurm to run this job again, unless Slurm is ending it on its own: a cancelled job stays cancelled."""
    for _ in range(TRIES):
        with suppress(slurm.Silent):
            state = slurm.show(job).get("JobState", "")
            if state != "RUNNING":
                say(f"Slurm ends this job ({state.lower() or 'it is not known any more'})")
                return
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which is how Slurm ends it, to run it again
            say("runs again when it has its turn")
            if refused := slurm.requeue(job):
                say(f"Slurm does not run it again: {refused}")
                return
            time.sleep(PAUSE)
            return
        time.sleep(PAUSE)


def main(words: Sequence[str]) -> int:
    """Run one task: 0 done, 1 nothing of it could be trained, 75 to be run again."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID", ""), os.environ.get("SLURM_ARRAY_TASK_ID", "")
    job = f"{array}_{task}" if array else ""  # SLURM_JOB_ID of the last task is that of the whole array
    now = time.time()
    with Interrupt() as interrupt:
        until = float("inf")
        if job:
            with suppress(slurm.Silent, UserError):
                until = ends_at(slurm.show(job), now)
        try:
            work = Work(submissions.read(Path(words[0])), int(words[1]), lambda: interrupt() or time.time() > until)
            before = work.reached()
            with read_once():
                some = work()  # Slurm starts what builds on a part of it; another scheduler is told of any failure
                return 0 if some and (job or not work.failures) else 1
        except Held as error:
            say(str(error))
        except Stopped as error:
            say(str(error))
            if not interrupt() and work.reached() == before:
                work.too_short()
                return 1
        except UserError as error:
            say(f"error: {error}")
            return 1
        if job:
            again(job)
        return UNFINISHED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
