"""What is printed on a terminal: tables, and sentences as they are. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(console: Console, parts: Iterable[Table | Text]) -> None:
    """Print one after another; a sentence's line is not cut, so that a path in it can be copied."""
    for part in parts:
        console.print(part, highlight=False, soft_wrap=isinstance(part, Text))


def say(console: Console, sentence: str) -> None:
    """Print a sentence as it is: names in it are no markup."""
    show(console, [Text(sentence)])
