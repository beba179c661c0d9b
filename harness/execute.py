"""Runs of a comparison, one after another or in several processes; one that fails stops nothing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sslkit.config import Flat
from sslkit.errors import Stopped, UserError, one_line
from sslkit.harness.arms import Comparison
from sslkit.machine import resolve_machine
from sslkit.pipeline import run, stages
from sslkit.prepare import prepare
from sslkit.spec import Spec
from sslkit.store import PathLike


@dataclass(frozen=True)
class Done:
    """One run that has ended: the name of its folder, or why there is none."""

    arm: str
    condition: str
    seed: int
    run: str = ""
    error: str = ""


def execute(
    comparison: Comparison, runs: PathLike, jobs: int, plugins: Sequence[PathLike], report: Callable[[Done], None]
) -> list[Done]:
    """Train what is not finished yet.

    Args:
        jobs: processes; each is started once and keeps what it imported.
        report: called with every run that has ended.

    Raises:
        Stopped: interrupted; the same call goes on.
    """
    todo = comparison.runs()
    found = []
    for done in (
        _in_turn(comparison, todo, runs, plugins) if jobs == 1 else _side_by_side(comparison, todo, runs, plugins, jobs)
    ):
        report(done)
        found.append(done)
    places = {place: i for i, place in enumerate(todo)}
    return sorted(found, key=lambda done: places[done.arm, done.condition, done.seed])


def _in_turn(
    comparison: Comparison, todo: Sequence[tuple[str, str, int]], runs: PathLike, plugins: Sequence[PathLike]
) -> Iterator[Done]:
    for place in todo:
        yield Done(*place, *_one(comparison.request(*place), runs, plugins))


def _side_by_side(
    comparison: Comparison, todo: Sequence[tuple[str, str, int]], runs: PathLike, plugins: Sequence[PathLike], jobs: int
) -> Iterator[Done]:
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(_one, comparison.request(*place), runs, plugins): place for place in todo}
        try:
            while waiting:
                ended, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ended:
                    yield Done(*waiting.pop(future), *future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one(request: Flat, runs: PathLike, plugins: Sequence[PathLike]) -> tuple[str, str]:
    """Name of the run's folder and "", or "" and why there is none."""
    try:
        found = run(request, runs=runs, plugins=plugins, console=Console(quiet=True))
    except (Stopped, KeyboardInterrupt):
        raise
    except UserError as error:
        return "", str(error)
    except Exception as error:  # a part's own mistake is one cell, and no end
        return "", one_line(error)
    return found.folder.name, ""


def shared_stages(comparison: Comparison, cache: Path) -> tuple[int, int, dict[str, Spec]]:
    """Stages of all runs, how many of them are different, and specification by key."""
    count, different = 0, {}
    for place in comparison.runs():
        prepared = prepare(comparison.request(*place), cache)
        for stage in stages(prepared, resolve_machine(prepared.config)):
            count += 1
            different[stage.spec.key] = stage.spec
    return count, len(different), different
