"""What a person sees while a stage trains."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sslkit.record.advice import Watch
from sslkit.terminal import say
from sslkit.training.log import PROGRESS, QUALITY
from sslkit.training.spec import Spec


class Bar:
    """A progress bar: stage, step, images a second, time left, losses, share of pseudo-labels kept."""

    def __init__(self, label: str, spec: Spec, console: Console) -> None:
        self.images = spec.images_a_step
        self.start: tuple[int, float] | None = None
        self.watch = Watch(spec)
        self.progress = Progress(
            TextColumn("[bold]{task.description:9}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}", markup=False),
            console=console,
        )
        self.task = self.progress.add_task(label, total=spec.training["steps"], values="")

    def __call__(self, done: int, line: dict[str, Any]) -> None:
        now = time.perf_counter()
        start = self.start or (done, now)
        self.start = start
        rate = (done - start[0]) * self.images / (now - start[1]) if done > start[0] else 0.0
        shown = [f"{rate:.0f} images/s"] if rate else []
        shown += [f"{k} {v:.3f}" for k, v in line.items() if k not in (*PROGRESS, *QUALITY)]
        if "coverage" in line:
            shown.append(f"kept {line['coverage']:.0%}")
        self.progress.update(self.task, completed=done, values=" · ".join(shown))
        warning = self.watch(line)
        if warning:
            say(self.progress.console, f"warning: {warning}")

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()
