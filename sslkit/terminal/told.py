"""What a command says beside its answer: kept for the `notes` of `--json`, and as JSON lines of `--progress json`.

There is one command a process, and `begin` starts it; for a program that calls sslkit nothing is kept.
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = 1  # of all answers and lines of progress; a key that goes, or means something else, is a new version
Progress = Literal["bar", "json", "none"]
PROGRESS = get_args(Progress)
OFTEN = 1.0  # seconds between two lines of one piece of work, at least


@dataclass
class Told:
    """Of a command: how its progress is shown, and what it has said so far."""

    progress: Progress = "bar"
    keeps: bool = False
    notes: list[str] = field(default_factory=list)
    plain: Any = None  # how Python shows warnings by itself


told = Told()


def begin() -> None:
    """A command begins: what the one before said is forgotten."""
    told.progress, told.keeps, told.notes = "bar", True, []
    if warnings.showwarning is _warned:
        warnings.showwarning = told.plain


def show_progress(how: Progress) -> None:
    """Show progress in this way from now on; as JSON lines, warnings of Python's are such lines, too."""
    told.progress = how
    if how == "json" and warnings.showwarning is not _warned:
        told.plain, warnings.showwarning = warnings.showwarning, _warned


def _warned(message: Warning | str, *_: Any, **__: Any) -> None:
    remark(str(message))


def shown(console: Console) -> Progress:
    """How progress is shown that goes to this console: as was asked for, if it is standard error and not quiet."""
    return "none" if console.quiet else told.progress if console.stderr else "bar"


def heard(console: Console, sentence: str) -> bool:
    """Keep a sentence for this console, as `note` does."""
    return console.stderr and not console.quiet and note(sentence)


def note(sentence: str) -> bool:
    """Keep a sentence; whether it was also told as a JSON line, and need not be printed."""
    if told.keeps:
        told.notes.append(sentence)
    event("note", text=sentence)
    return told.progress == "json"


def remark(sentence: str) -> None:
    """Say a sentence on standard error."""
    if not note(sentence):
        print(sentence, file=sys.stderr)


def event(name: str, **values: Any) -> None:
    """A JSON line on standard error, where these are asked for."""
    if told.progress == "json":
        print(json.dumps(finite({"event": name, **values})), file=sys.stderr, flush=True)


def finite(value: Any) -> Any:
    """JSON has no word for what is no number (null) or has no bound ("Infinity")."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


class Pace:
    """How fast a piece of work goes, from where it began or was gone on with; and whether it is time to say so."""

    def __init__(self) -> None:
        self.start: tuple[int, float] | None = None
        self.told = -math.inf

    def __call__(self, done: int) -> float:
        """Pieces a second; 0 at first."""
        now = time.perf_counter()
        self.start = self.start or (done, now)
        return (done - self.start[0]) / (now - self.start[1]) if done > self.start[0] else 0.0

    def due(self, last: bool) -> bool:
        """Whether `OFTEN` has passed since it was due before; the `last` is always."""
        now = time.perf_counter()
        if not last and now - self.told < OFTEN:
            return False
        self.told = now
        return True
