"""Runs of a comparison, one after another or in several processes; one that fails stops nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from rich.console import Console

from sslkit.config import Flat
from sslkit.errors import Stopped, UserError, one_line
from sslkit.harness.plan.survey import Planned
from sslkit.pipeline import run
from sslkit.store import PathLike, Store

GRACE = 60.0  # seconds to save in, of workers that are told to stop


@dataclass(frozen=True)
class Task:
    """One run to carry out, with all that this needs."""

    planned: Planned
    request: Flat
    runs: PathLike  # root of the store
    plugins: tuple[PathLike, ...]
    keep: bool  # train stages again whose weights were dropped


Report = Callable[[Planned], None]  # called with every run that has ended
# The second is how many of them at a time; None: one here, on a cluster as many as it will.
Work = Callable[[Sequence[Task], int | None, Report], None]


def execute(tasks: Sequence[Task], jobs: int | None, report: Report) -> None:
    """Train what is not finished yet, `jobs` runs at a time, each in a process that keeps what it imported.

    Raises:
        Stopped: interrupted; the same call goes on.
    """
    work = _in_turn if jobs in (None, 1) else _side_by_side
    for done in work(list(tasks), jobs or 1):
        report(done)


def leave_if_imported() -> None:
    """End this process where it is a worker that imports the script of its parent, which would begin all over again.

    The parent says what that script lacks.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing.spawn asks itself
        os._exit(1)


def _in_turn(todo: list[Task], jobs: int) -> Iterator[Planned]:
    while todo:
        chosen = free(todo, ()) or todo[0]
        todo.remove(chosen)
        yield one(chosen)


def _side_by_side(todo: list[Task], jobs: int) -> Iterator[Planned]:
    leave_if_imported()
    if not todo:
        return
    context, store = multiprocessing.get_context("spawn"), Store(todo[0].runs)
    jobs = max(1, min(jobs, len(todo)))
    others = multiprocessing.active_children()  # of a program that calls this
    pool = ProcessPoolExecutor(jobs, context, _enter, (context.Value("i", 0),))
    with _without_a_script_that_is_no_file(), pool, _passing_on(others):
        busy: dict[Future[Planned], Planned] = {}
        try:
            while todo or busy:
                while len(busy) < jobs and todo:
                    chosen = free(todo, _keys(busy.values()))
                    if chosen is None and busy:
                        break  # all others wait for stages that are being trained
                    todo.remove(chosen := chosen or todo[0])
                    busy[pool.submit(one, chosen)] = chosen.planned
                ended, _ = wait(busy, return_when=FIRST_COMPLETED)
                for future in ended:
                    done = future.result()
                    busy.pop(future)
                    yield done
        except BrokenProcessPool:
            end(_workers(others), lambda: any(map(store.held, _keys(busy.values()))), GRACE)
            raise UserError(
                "a process was killed, perhaps for lack of memory, and the same command goes on; in a script, call "
                "this beneath `if __name__ == '__main__':`"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _without_a_script_that_is_no_file() -> Iterator[None]:
    """While entered, new processes do not look for the script of `python -`, which is called <stdin>."""
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None)
    if script is None or os.path.exists(script):
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = script


def _workers(others: Collection[BaseProcess]) -> list[BaseProcess]:
    return [process for process in multiprocessing.active_children() if process not in others]


def end(workers: Sequence[BaseProcess], saving: Callable[[], bool], grace: float) -> None:
    """Kill workers that were told to stop, as soon as none is `saving` a stage, or after `grace` seconds.

    One that has saved its stage asks the pool's queue for more. Its lock may have died with the worker that was killed
    while it had it: then that one waits for ever, and the pool for that one.
    """
    until = time.monotonic() + grace
    while saving() and any(worker.is_alive() for worker in workers) and time.monotonic() < until:
        time.sleep(0.05)
    for worker in workers:
        worker.kill()


@contextmanager
def _passing_on(others: Collection[BaseProcess]) -> Iterator[None]:
    """While entered, a SIGTERM stops the workers, too, as Ctrl-C does by itself: each saves its stage."""

    def handle(number: int, frame: FrameType | None) -> None:
        for worker in _workers(others):
            worker.terminate()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _keys(runs: Iterable[Planned]) -> set[str]:
    """Of all their stages."""
    return {key for planned in runs for key in planned.stages.values()}


def free(todo: Sequence[Task], busy: Collection[str]) -> Task | None:
    """The first run of whose unfinished stages none is being trained, here (`busy`) or by another comparison."""
    for task in todo:
        store = Store(task.runs)
        missing = [key for key in task.planned.stages.values() if store.finished(key) is None]
        if not any(key in busy or store.held(key) for key in missing):
            return task
    return None


def one(task: Task) -> Planned:
    """The run with the name of its folder, or why there is none."""
    planned = task.planned
    try:
        name = planned.folder.rpartition("-")[0]
        quiet = Console(quiet=True)
        found = run(task.request, runs=task.runs, name=name, plugins=task.plugins, keep=task.keep, console=quiet)
        if {row["stage"]: row["key"] for row in found.results["stages"]} != planned.stages:
            raise UserError("sources or machine are not those of the plan; the same command plans anew")
    except (Stopped, KeyboardInterrupt):
        raise
    except UserError as error:
        return replace(planned, run="", error=str(error))
    except Exception as error:  # a part's own mistake is one cell, and no end
        return replace(planned, run="", error=one_line(error))
    return replace(planned, run=found.folder.name, error="")


def _enter(number: Any) -> None:
    """What a worker does first: it ends with its parent, even a killed one, and takes the next GPU.

    By itself it would stay: python/cpython#111873.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    with number.get_lock():
        mine, number.value = number.value, number.value + 1
    if torch.cuda.device_count() > 1:
        torch.cuda.set_device(gpu_of(mine, torch.cuda.device_count()))


def gpu_of(worker: int, gpus: int) -> int:
    """Workers take the GPUs in turn."""
    return worker % gpus


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a stage that is being trained goes on from its last checkpoint
