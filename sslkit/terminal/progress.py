"""What a person sees while a stage trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from sslkit.data.threads import watched
from sslkit.record.advice import Watch
from sslkit.terminal import say
from sslkit.training.log import PROGRESS, QUALITY, VALIDATED
from sslkit.training.spec import Spec

LONG = 10  # seconds of work whose rate is said when it is done


@contextmanager
def counting(what: str, total: int, console: Console) -> Iterator[Callable[[int], None]]:
    """A bar of images with their number a second and the time left; after more than `LONG`, a line of the rate.

    Args:
        what: is done with them.
    """
    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TimeRemainingColumn(compact=True), TextColumn("left"))
    rate = TextColumn("{task.fields[rate]:,.0f} images/s")
    start, done = time.perf_counter(), 0

    def now() -> float:
        return done / (time.perf_counter() - start)

    with Progress(TextColumn("{task.description}"), *columns, rate, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total, rate=0.0)

        def advance(more: int) -> None:
            nonlocal done
            done += more
            progress.update(task, advance=more, rate=now())

        yield advance
    if time.perf_counter() - start > LONG:
        say(console, f"{what}: {done:,}, {now():,.0f} a second")


def bars(console: Console) -> AbstractContextManager[None]:
    """While entered, such a bar for work that looks at every image."""
    return watched(lambda what, total: counting(what, total, console))


class Bar:
    """A progress bar: stage, step, images a second, time left, losses, share of pseudo-labels kept."""

    def __init__(self, label: str, spec: Spec, console: Console) -> None:
        self.fitted = spec.fitted  # then it counts images whose features are computed
        self.images = 1 if spec.fitted else spec.images_a_step
        self.start: tuple[int, float] | None = None
        self.watch = Watch(spec)
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
        self.task = self.progress.add_task(label, total=None if spec.fitted else spec.training["steps"], values="")

    def __call__(self, done: int, line: dict[str, Any]) -> None:
        if self.fitted:
            self.progress.update(self.task, total=line.pop("total"))
        now = time.perf_counter()
        start = self.start or (done, now)
        self.start = start
        rate = (done - start[0]) * self.images / (now - start[1]) if done > start[0] else 0.0
        shown = [f"kept {line['coverage']:.0%}"] if "coverage" in line else []
        shown += [f"validation {line[name]:.1%}" for name in VALIDATED if line.get(name) is not None]
        losses = [f"{k} {v:.3f}" for k, v in line.items() if k not in (*PROGRESS, *QUALITY, *VALIDATED)]
        shown += [f"loss {', '.join(losses)}"] if losses else []
        shown += [f"{rate:.0f} images/s"] if rate else []
        self.progress.update(self.task, completed=done, values=" · ".join(shown))
        warning = self.watch(line)
        if warning:
            say(self.progress.console, f"warning: {warning}")

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()
