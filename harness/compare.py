"""A comparison from its plan to its folder: what will be done, doing it, and keeping it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sslkit.errors import UserError
from sslkit.harness.arms import CONTROLS, Comparison
from sslkit.harness.execute import Done, execute, shared_stages
from sslkit.harness.frame import MARK
from sslkit.harness.statistics import SEEDS, detectable, seeds_needed, smallest_p
from sslkit.machine import resolve_machine
from sslkit.pipeline import stages
from sslkit.prepare import prepare
from sslkit.report import duration
from sslkit.spec import Spec
from sslkit.store import PathLike, Store, read_json, write_json
from sslkit.timing import step_seconds


def settled(comparison: Comparison, runs: PathLike, name: str) -> Comparison:
    """With device and precision: those that the unfinished comparison stored, else what `auto` comes to here."""
    mark = Store(runs).run_folder(name, comparison.digest, again=False) / MARK
    if mark.is_file():
        return replace(comparison, machine=read_json(mark)["comparison"]["machine"])
    arm, condition, seed = comparison.runs()[0]
    machine = resolve_machine(prepare(comparison.request(arm, condition, seed), Store(runs).data).config)
    return replace(comparison, machine={"device": machine.device, "precision": machine.precision})


def introduce(comparison: Comparison, runs: PathLike, console: Console, *, timed: bool) -> None:
    """Say what will be trained and what it can show; `timed` also says how long it takes."""
    store = Store(runs)
    count, different, specs = shared_stages(comparison, store.data)
    rows = [*CONTROLS, *comparison.arms]
    lines = [
        *comparison.remarks,
        f"{len(comparison.runs())} runs: {len(comparison.arms)} arms, {len(comparison.conditions)} conditions, "
        f"{comparison.seeds} seeds; {different} stages to train instead of {count}, the others are shared",
        power(comparison.seeds, (len(rows) - 1) * len(comparison.conditions)),
    ]
    if timed:
        new = [spec for key, spec in specs.items() if not store.finished(key)]
        time = duration(_seconds(comparison, new, store.data))
        lines.append(f"{len(new)} stages are not in the store yet: {time} in one process")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def power(seeds: int, comparisons: int) -> str:
    """What so many seeds can show at best."""
    if seeds < SEEDS:
        return f"{seeds} seeds: values only; statements begin with {SEEDS} seeds"
    needed = f"{seeds_needed(comparisons)} seeds are needed for {comparisons} comparisons"
    found = f"with a spread of 1 point {detectable(1.0, seeds):.1f} points are found 4 times in 5"
    return f"power: smallest p {smallest_p(seeds):.2g}, {needed}; {found}"


def _seconds(comparison: Comparison, specs: Sequence[Spec], cache: Path) -> float:
    """Time of the stages: three steps of each kind, as those of seed 0 are timed."""
    total = 0.0
    for arm, condition, seed in comparison.runs():
        if seed:
            continue
        prepared = prepare(comparison.request(arm, condition, seed), cache)
        wanted = {stage.spec.key for stage in stages(prepared, resolve_machine(prepared.config))}
        mine = [spec for spec in specs if spec.key in wanted]
        specs = [spec for spec in specs if spec.key not in wanted]
        found = step_seconds(mine, prepared.images, prepared.split)
        total += sum(found[spec.key].step * int(spec.training["steps"]) for spec in mine)
    return total * comparison.seeds


def compare(
    comparison: Comparison, runs: PathLike, name: str, jobs: int, plugins: Sequence[PathLike], console: Console
) -> Path:
    """Train what is missing and store which runs there are; the comparison's folder.

    Raises:
        UserError: the store cannot be written to, or no run succeeded.
        Stopped: interrupted; the same call goes on.
    """
    store = Store(runs)
    store.prepare()
    folder = store.run_folder(name, comparison.digest, again=False)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip
    with bar:
        task = bar.add_task("runs", total=len(comparison.runs()))

        def report(done: Done) -> None:
            bar.advance(task)
            if done.error:
                bar.console.print(
                    f"{done.arm}, {done.condition}, seed {done.seed} failed: {done.error}", markup=False, soft_wrap=True
                )

        found = execute(comparison, runs, jobs, plugins, report)
    if all(done.error for done in found):
        raise UserError(f"no run succeeded; the first one: {found[0].error}")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}") from None
    about = {"schema": 1, "comparison": asdict(comparison), "runs": [asdict(done) for done in found]}
    write_json(folder / MARK, about)
    return folder
