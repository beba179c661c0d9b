"""What a person sees while a stage trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from sslkit.data.threads import watched
from sslkit.record.advice import Watch
from sslkit.terminal import say
from sslkit.terminal.told import Pace, event, shown
from sslkit.training.log import PROGRESS, QUALITY, VALIDATED
from sslkit.training.spec import Spec

LONG = 10  # seconds of work whose rate is said when it is done


@contextmanager
def counting(what: str, total: int, console: Console) -> Iterator[Callable[[int], None]]:
    """A bar of images with their number a second and the time left; after more than `LONG`, a line of the rate.

    Args:
        what: is done with them.
    """
    start, done, pace, how = time.perf_counter(), 0, Pace(), shown(console)
    pace(0)
    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TimeRemainingColumn(compact=True), TextColumn("left"))
    rate = TextColumn("{task.fields[rate]:,.0f} images/s")
    bar = Progress(TextColumn("{task.description}"), *columns, rate, console=console, transient=True)
    task = bar.add_task(what, total=total, rate=0.0)

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if how == "bar":
            bar.update(task, advance=more, rate=pace(done))
        elif how == "json" and pace.due(done >= total):
            event(
                "images",
                what=what,
                done=done,
                total=total,
                images_per_s=round(pace(done), 1),
                eta_s=_left(pace, done, total),
            )

    with bar if how == "bar" else nullcontext():
        yield advance
    took = time.perf_counter() - start
    if took > LONG:
        say(console, f"{what}: {done:,}, {done / took:,.0f} a second")


def bars(console: Console) -> AbstractContextManager[None]:
    """While entered, such a bar for work that looks at every image."""
    return watched(lambda what, total: counting(what, total, console))


@contextmanager
def tally(what: str, total: int, console: Console) -> Iterator[Callable[[int], None]]:
    """A bar of so many pieces of work, with the time since it began; it goes where the work ends early."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    bar, pace, how = Progress(TextColumn("{task.description}"), *columns, console=console), Pace(), shown(console)
    task, done = bar.add_task(what, total=total), 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        bar.advance(task, more)
        if how == "json":
            event(what, done=done, total=total, eta_s=_left(pace, done, total))

    with bar if how == "bar" else nullcontext():
        try:
            yield advance
        except BaseException:
            bar.live.transient = True
            raise


def _left(pace: Pace, done: int, total: int | None) -> float | None:
    """Seconds, where they can be told."""
    rate = pace(done)
    return round((total - done) / rate, 1) if rate and total is not None else None


class Watched:
    """A stage while it trains, of which warnings are said and nothing is shown: what `--progress none` leaves."""

    def __init__(self, label: str, spec: Spec, console: Console) -> None:
        self.label, self.console = label, console
        self.fitted = spec.fitted  # then it counts images whose features are computed
        self.images = 1 if spec.fitted else spec.images_a_step
        self.total: int | None = None if spec.fitted else spec.training["steps"]
        self.done, self.pace, self.watch = 0, Pace(), Watch(spec)

    def __call__(self, done: int, line: dict[str, Any]) -> None:
        if self.fitted:
            self.total = line.pop("total")
        self.done = done
        self.show(line, self.pace(done) * self.images)
        warning = self.watch(line)
        if warning:
            say(self.console, f"warning: {warning}")

    def show(self, line: dict[str, Any], rate: float) -> None:
        """Show what was logged; `rate` is of images a second."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass


class Bar(Watched):
    """A progress bar: stage, step, images a second, time left, losses, share of pseudo-labels kept."""

    def __init__(self, label: str, spec: Spec, console: Console) -> None:
        super().__init__(label, spec, console)
        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")  # the others have the width that they need
        self.progress = Progress(
            TextColumn("[bold]{task.description:9}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            TextColumn("{task.fields[values]}", markup=False, table_column=rest),
            console=console,
            expand=True,
        )
        self.task = self.progress.add_task(label, total=self.total, values="")

    def show(self, line: dict[str, Any], rate: float) -> None:
        told = [f"kept {line['coverage']:.0%}"] if "coverage" in line else []
        told += [f"validation {line[name]:.1%}" for name in VALIDATED if line.get(name) is not None]
        losses = [f"{k} {v:.3f}" for k, v in _losses(line).items()]
        told += [f"loss {', '.join(losses)}"] if losses else []
        told += [f"{rate:.0f} images/s"] if rate else []
        self.progress.update(self.task, total=self.total, completed=self.done, values=" · ".join(told))

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()


class Lines(Watched):
    """The same as JSON lines, one in `OFTEN` seconds at most, and one for every validation."""

    def show(self, line: dict[str, Any], rate: float) -> None:
        about = {"stage": self.label, "step": self.done}
        if validated := {name: line[name] for name in VALIDATED if line.get(name) is not None}:
            event("validation", **about, **validated)
        if not self.pace.due(self.done == self.total):
            return
        left = _left(self.pace, self.done, self.total)
        if self.fitted:
            event("images", what=self.label, done=self.done, total=self.total, images_per_s=round(rate, 1), eta_s=left)
            return
        kept = {name: line[name] for name in QUALITY if name in line}
        about |= {"steps": self.total, "images_per_s": round(rate, 1), "eta_s": left}
        event("step", **about, losses=_losses(line), pseudo_labels=kept or None)

    def __enter__(self) -> Self:
        event("stage_begun", stage=self.label, steps=self.total)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        event("stage_ended", stage=self.label, steps=self.total, step=self.done, whole=error is None)


def _losses(line: dict[str, Any]) -> dict[str, float]:
    """The loss terms of what was logged."""
    return {k: v for k, v in line.items() if k not in (*PROGRESS, *QUALITY, *VALIDATED)}


def watcher(label: str, spec: Spec, console: Console) -> Watched:
    """What shows a stage on this console."""
    return {"bar": Bar, "json": Lines, "none": Watched}[shown(console)](label, spec, console)
