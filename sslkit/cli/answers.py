"""`--json`: every answer is one JSON object on standard output, an error, too. Imports nothing heavy.

Each command declares its answer as a TypedDict, which `sslkit schema` publishes as JSON Schema. All answers also have
`schema`, the version of all of them together, and `notes`, what was said beside them on standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, TypedDict, TypeVar

import click

from sslkit.terminal import told
from sslkit.terminal.told import SCHEMA

F = TypeVar("F", bound=Callable[..., Any])

CODES = {
    0: "done",
    1: "a mistake in sslkit or in a part: a traceback, which is worth a report",
    2: "something that you can put right, in one line: what, where, and what would be right",
    130: "stopped by Ctrl-C or SIGTERM; the same command goes on",
}


class Failure(TypedDict):
    """What stands in the place of an answer where there is none."""

    error: Annotated[str, "one line: what was wrong, where, and what would be right"]
    code: Annotated[int, "the exit code: 1, 2 or 130"]


class _Asked:
    """Whether the command is to answer in JSON, and has, which it does once."""

    wanted = answered = False


def as_json(kind: Any) -> Callable[[F], F]:
    """The option `--json` of a command whose answer is of this kind: a TypedDict, or a union of several."""

    def decorate(command: F) -> F:
        command.answers = kind  # type: ignore[attr-defined]
        return click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, nothing else.")(
            command
        )

    return decorate


def answers_of(command: click.Command) -> Any:
    """What kind a command answers with `--json`; None where it has no such option."""
    return getattr(command.callback, "answers", None)


def begin(words: Sequence[str]) -> None:
    """A command begins. How it tells an error of its own command line is told by the words of that."""
    told.begin()
    _Asked.wanted, _Asked.answered = "--json" in words, False
    if "--progress=json" in words or ("--progress", "json") in pairwise(words):
        told.show_progress("json")


def answer(document: Mapping[str, Any]) -> None:
    """Print the answer, with the version of its schema and the notes."""
    say_of_drives()
    notes = dict.fromkeys([*told.told.notes, *document.get("notes", ())])
    whole = {"schema": SCHEMA} | {**document, "schema": SCHEMA, "notes": [*notes]}
    _Asked.answered = True
    click.echo(json.dumps(told.finite(whole), indent=1))


def say_of_drives() -> None:
    """Say which reads failed at first."""
    drives = sys.modules.get("sslkit.store.drives")  # nothing was read where it is not imported
    for sentence in drives.said() if drives else ():
        told.remark(sentence)


def fail(code: int, line: str) -> int:
    """Say why a command ends on standard error, and with `--json` in the place of an answer; gives the exit code."""
    line = " ".join(line.split())
    if told.told.progress == "json":
        told.event("stopped" if code == 130 else "error", text=line, code=code)
    elif code != 1:  # a traceback says it
        click.echo(line if code == 130 else f"error: {line}", err=True)
    if _Asked.wanted and not _Asked.answered:
        answer(Failure(error=line, code=code))
    return code
