"""What is printed on a terminal: tables, and sentences as they are. Imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sslkit.terminal.told import event, heard, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDE = 200  # letters in a line of what goes to a file


def console() -> Console:
    """As wide as the window; what goes to a file is not folded."""
    from rich.console import Console

    return Console(emoji=False) if sys.stdout.isatty() else Console(width=WIDE, emoji=False)


def show(console: Console, parts: Iterable[Table | Text]) -> None:
    """Print one after another; a sentence's line is not cut, so that a path in it can be copied."""
    from rich.text import Text

    for part in parts:
        console.print(part, highlight=False, soft_wrap=isinstance(part, Text))


def say(console: Console, sentence: str) -> None:
    """Print a sentence as it is: names in it are no markup. On standard error it is also a note."""
    from rich.text import Text

    if not heard(console, sentence):
        show(console, [Text(sentence)])


@contextmanager
def status(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """While entered, a line that says what takes its time; what it gives changes the line."""
    how = shown(console)
    if how == "bar":
        with console.status(what) as line:
            yield line.update
        return

    def update(what: str) -> None:
        if how == "json" and what:
            event("status", text=what)

    update(what)
    yield update


def count(n: int, thing: str) -> str:
    """1 seed, 2 seeds."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
