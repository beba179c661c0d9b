"""What a person sees of a run, from its plan to its last bar, and how a person stops it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console

from sslkit.machine import Machine
from sslkit.prepare import Prepared
from sslkit.record.stages import Stage
from sslkit.terminal import say, status
from sslkit.terminal.introduction import introduction
from sslkit.terminal.progress import Watched, bars, watcher
from sslkit.terminal.tables import plan_rows, plan_table
from sslkit.terminal.told import event, heard, shown
from sslkit.training.networks import build_network, load
from sslkit.training.timing import Seconds, step_seconds


class Screen:
    """Where a run says what it does; None is standard error."""

    def __init__(self, console: Console | None) -> None:
        self.console = console or Console(stderr=True, emoji=False)

    def say(self, sentence: str) -> None:
        say(self.console, sentence)

    def status(self, what: str) -> AbstractContextManager[object]:
        """While entered, a line that says what takes its time."""
        return status(self.console, what)

    def watching(self) -> AbstractContextManager[None]:
        """While entered, a bar for work that looks at every image."""
        return bars(self.console)

    def bar(self, stage: Stage) -> Watched:
        return watcher(stage.label, stage.spec, self.console)

    def introduce(
        self,
        prepared: Prepared,
        machine: Machine,
        stages: Sequence[Stage],
        new: Collection[str],
        kept: Path | None = None,
    ) -> None:
        """What was decided, the weights it starts from, and how long each stage will take.

        Args:
            new: labels of the stages that are not begun yet; three steps of each are timed, unless an earlier run did.
            kept: folder where these times are kept.

        Raises:
            UserError: what is seen only when all is put together, before anything is written.
        """
        loaded = None
        if stages[0].weights and stages[0].label in new:  # the file may not fit, which is seen before any time is spent
            loaded = load(build_network(stages[0].spec), stages[0].weights, stages[0].spec)
        specs = [stage.spec for stage in stages if stage.label in new]
        seconds: dict[str, Seconds] = {}
        with self.status("timing three steps of each stage"):
            for data in filter(None, (prepared, prepared.source)):
                mine = [spec for spec in specs if spec.data["fingerprint"] == data.images.fingerprint]
                seconds |= step_seconds(mine, data.images, data.split, kept)
        if loaded and not heard(self.console, loaded.sentence()):
            self.console.print(loaded.table(prepared.stored.get("weights", {}).get("license", "")))
        for line in introduction(prepared, machine, [stage.spec for stage in stages]):
            self.say(line)
        rows = [(stage.label, stage.spec, seconds.get(stage.spec.key)) for stage in stages]
        if shown(self.console) == "json":
            event("plan", stages=plan_rows(rows))
            return
        table = plan_table(rows)
        if machine.processes > 1:
            del table.columns[-2:]  # shares and times, which are not known
        self.console.print(table)


class Interrupt:
    """While entered, the first Ctrl-C or SIGTERM asks for a stop after the step; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self.before: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self.asked

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
