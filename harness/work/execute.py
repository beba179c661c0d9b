"""Runs of a comparison, one after another or in several processes; one that fails stops nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

from rich.console import Console

from sslkit.config import Flat
from sslkit.errors import Stopped, UserError, one_line
from sslkit.harness.plan.arms import Comparison
from sslkit.harness.plan.survey import Planned
from sslkit.pipeline import run
from sslkit.store import PathLike, Store

Calls = dict[int, tuple[Planned, Flat, PathLike, tuple[PathLike, ...], bool]]  # what `one` is called with, by identity


def execute(
    comparison: Comparison,
    todo: Sequence[Planned],
    runs: PathLike,
    jobs: int,
    plugins: Sequence[PathLike],
    keep: bool,
    report: Callable[[Planned], None],
) -> None:
    """Train what is not finished yet.

    Args:
        jobs: processes; each is started once and keeps what it imported.
        keep: train stages again whose weights were dropped.
        report: called with every run that has ended.

    Raises:
        Stopped: interrupted; the same call goes on.
    """
    work = _in_turn if jobs == 1 else _side_by_side
    calls = {id(p): (p, comparison.request(p.arm, p.condition, p.seed), runs, tuple(plugins), keep) for p in todo}
    for done in work(list(todo), calls, Store(runs), jobs):
        report(done)


def _in_turn(todo: list[Planned], calls: Calls, store: Store, jobs: int) -> Iterator[Planned]:
    while todo:
        chosen = free(todo, store, ()) or todo[0]
        todo.remove(chosen)
        yield one(*calls[id(chosen)])


def _side_by_side(todo: list[Planned], calls: Calls, store: Store, jobs: int) -> Iterator[Planned]:
    context = multiprocessing.get_context("spawn")
    jobs = max(1, min(jobs, len(todo)))
    with ProcessPoolExecutor(jobs, context, _enter, (context.Value("i", 0),)) as pool, _passing_on():
        busy: dict[Future[Planned], Planned] = {}
        try:
            while todo or busy:
                while len(busy) < jobs and todo:
                    chosen = free(todo, store, {key for run_ in busy.values() for key in run_.stages.values()})
                    if chosen is None and busy:
                        break  # all others wait for stages that are being trained
                    todo.remove(chosen := chosen or todo[0])
                    busy[pool.submit(one, *calls[id(chosen)])] = chosen
                ended, _ = wait(busy, return_when=FIRST_COMPLETED)
                for future in ended:
                    busy.pop(future)
                    yield future.result()
        except BrokenProcessPool:
            raise UserError("a process was killed, perhaps for lack of memory; the same command goes on") from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _passing_on() -> Iterator[None]:
    """While entered, a SIGTERM stops the workers, too, as Ctrl-C does by itself: each saves its stage."""

    def handle(number: int, frame: FrameType | None) -> None:
        for worker in multiprocessing.active_children():
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


def free(todo: Sequence[Planned], store: Store, busy: Collection[str]) -> Planned | None:
    """The first run of whose unfinished stages none is being trained, here (`busy`) or by another comparison."""
    for run_ in todo:
        missing = [key for key in run_.stages.values() if store.finished(key) is None]
        if not any(key in busy or store.held(key) for key in missing):
            return run_
    return None


def one(planned: Planned, request: Flat, runs: PathLike, plugins: Sequence[PathLike], keep: bool) -> Planned:
    """The run with the name of its folder, or why there is none."""
    try:
        name = planned.folder.rpartition("-")[0]
        found = run(request, runs=runs, name=name, plugins=plugins, keep=keep, console=Console(quiet=True))
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
