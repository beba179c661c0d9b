"""Lists and `--vary` of the command line: what makes arms."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sslkit import registry
from sslkit.errors import UserError

# list option -> key; these make the arms
ARMS = {"algo": "algo.name", "teacher": "teacher.name", "labeler": "labeler.name", "mixer": "mixer.name"}


def split(text: str, *, paths: bool = False) -> list[str]:
    """`a,b` -> ["a", "b"]. A comma in the path of what is there, perhaps behind a word and a colon, is of the path.

    Args:
        paths: they are data sets: so is a comma after which no data set is named, whether the path is there or not.

    Raises:
        UserError: an empty name.
    """
    known, found = {entry.name for entry in registry.entries("dataset")} if paths else set(), list[str]()
    pieces = text.split(",")
    while pieces:
        longest = next((k for k in range(len(pieces), 1, -1) if _is_there(",".join(pieces[:k]))), 1)
        word, pieces = ",".join(pieces[:longest]), pieces[longest:]
        if paths and found and ":" in found[-1] and word.partition(":")[0].strip() not in known:
            found[-1] += f",{word}"
        else:
            found.append(word)
    words = [word.strip() for word in found]
    if not all(words) or len(set(words)) < len(words):
        raise UserError(f"{text!r} must be different names with commas between")
    return words


def _is_there(word: str) -> bool:
    """Whether a word is a path, or one behind a colon, of what is on the disk."""
    kind, _, path = word.partition(":")
    return os.path.exists(word.strip()) or ("," not in kind and os.path.exists(path.strip()))


def varied(lists: Mapping[str, list[str]], vary: Sequence[str]) -> dict[str, list[Any]]:
    """Key -> the values that make arms.

    Args:
        lists: option -> its names, of those that choose parts and others.
        vary: texts of `--vary`.

    Raises:
        UserError: a key stands twice.
    """
    found: dict[str, list[Any]] = {key: lists[option] for option, key in ARMS.items() if option in lists}
    for key, chosen in map(values, vary):
        if key in found:
            raise UserError(f"{key} is varied twice; give all of its values at once")
        found[key] = chosen
    return found


def values(text: str) -> tuple[str, list[Any]]:
    """`labeler.tau=0.5,0.7` -> ("labeler.tau", [0.5, 0.7])."""
    from sslkit.config.resolve import named, parse_set

    key, equals, rest = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--vary wants KEY=V1,V2, as in --vary labeler.tau=0.5,0.7, got {text!r}")
    (full,) = named({key.strip(): ""})
    found = [parse_set(f"{key}={word}")[1] for word in split(rest, paths=full == "data.name")]
    if any(value in found[:i] for i, value in enumerate(found)):
        raise UserError(f"--vary {text}: two of the values are equal")
    return full, found
