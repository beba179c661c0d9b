"""Errors for people: what was wrong, where, and what would be right.

What is changed here changes no stage's key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """Something the user can put right. The command line prints it as one line and exits with code 2."""


class Lost(UserError):
    """What this process had claimed was taken over by another one: it writes nothing of that any more."""


class Stopped(Exception):
    """Training was interrupted (Ctrl-C or SIGTERM) and saved; the message says how to go on."""


def unknown(kind: str, name: str, known: Iterable[str], see: str = "") -> UserError:
    """The error for a name that is not in `known`, with the nearest ones as a suggestion."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    if near:
        hint = ", did you mean " + " or ".join(repr(n) for n in near) + "?"
    elif known and len(known) <= 12:
        hint = "; known are " + ", ".join(known)
    else:
        hint = ""
    there = f"{' ' if near else '; '}`{see}` lists all" if see else ""
    return UserError(f"unknown {kind} {name!r}{hint}{there}")


def listed(names: Sequence[str], most: int = 4) -> str:
    """The first names of many, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def one_line(error: BaseException) -> str:
    """The type and first line of an exception, for a sentence about it."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory was not enough: torch has no class of its own for the CPU.

    Its words there are those of pytorch/pytorch#20618.
    """
    kinds = ("OutOfMemoryError", "MemoryError")
    return type(error).__name__ in kinds or "can't allocate memory" in str(error)
