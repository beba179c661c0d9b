"""Conformance: whether a part keeps what the contracts promise, tried on tiny networks and random images.

Every check is a function of the part's class that returns when all is well, and else raises; its docstring says what
holds. A part that knows better says so: `known_failures = {"repeatable": "why"}`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sslkit import registry
from sslkit.errors import UserError, one_line, unknown

VERSION = 2  # of the checks; a new or stricter one is a new version
KINDS = {  # kind -> module with its `CHECKS`
    "algorithm": "steps",
    "teacher": "teachers",
    "labeler": "labelers",
    "mixer": "mixers",
    "pretrainer": "pretrainers",
    "backbone": "networks",
    "adapter": "adapters",
    "dataset": "datasets",
    "reader": "readers",
}
Check = Callable[[type[Any]], None]


class Broken(AssertionError):
    """What a part should keep does not hold; the message says what was seen."""


class Skipped(Exception):
    """A check does not concern this part, or cannot be made here; the message says why."""


@dataclass(frozen=True)
class Finding:
    """What one check of one part came to."""

    kind: str
    name: str
    check: str
    holds: str  # what should hold
    state: str  # "passed", "failed", "known" (a failure with a reason), "skipped"
    reason: str = ""


def expect(holds: bool, seen: str) -> None:
    """Raise `Broken` with what was seen instead, unless it holds."""
    if not holds:
        raise Broken(seen)


def check_part(kind: str, name: str) -> list[Finding]:
    """All checks of one part; `name` may have an argument, as `folder:DIR`.

    Raises:
        UserError: there is no such part, or it cannot be loaded.
    """
    return _checked(kind, name, registry.load(kind, name))


def check_class(cls: type[Any], name: str = "") -> list[Finding]:
    """All checks of a part by its class; its kind is told by its base.

    Raises:
        TypeError: it is no part that can be checked.
    """
    for kind in KINDS:
        module, _, base = registry.KINDS[kind][1].partition(":")
        if issubclass(cls, getattr(importlib.import_module(f"sslkit.{module}"), base)):
            learned = "pretrainer" if not getattr(cls, "classifies", True) else kind  # both are algorithms
            return _checked(learned, name or cls.__name__, cls)
    raise TypeError(f"{cls.__name__} is no {', '.join(KINDS)}")


def _checked(kind: str, name: str, cls: type[Any]) -> list[Finding]:
    found = importlib.import_module(f"sslkit.conformance.{KINDS[kind]}")
    checks: Sequence[Check] = found.checks(cls, name) if hasattr(found, "checks") else found.CHECKS
    known: Mapping[str, str] = getattr(cls, "known_failures", {})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_made(kind, name, check, cls, known) for check in checks]
    finally:
        torch.set_num_threads(threads)


def _made(kind: str, name: str, check: Check, cls: type[Any], known: Mapping[str, str]) -> Finding:
    label = check.__name__
    holds = " ".join((check.__doc__ or "").split())
    try:
        check(cls)
    except Skipped as reason:
        return Finding(kind, name, label, holds, "skipped", str(reason))
    except Exception as error:  # what a part raises is anything
        seen = str(error) if isinstance(error, Broken) else f"it raises {one_line(error)}"
        if label in known:
            return Finding(kind, name, label, holds, "known", f"{known[label]} ({seen})")
        return Finding(kind, name, label, holds, "failed", seen)
    return Finding(kind, name, label, holds, "passed")


def chosen(names: Sequence[str], kind: str | None = None) -> Iterator[tuple[str, str]]:
    """(kind, name) of every part that is meant: NAME in each kind that has it, or KIND:NAME; without names all.

    Raises:
        UserError: an unknown kind, or a name that no kind has.
    """
    kinds = list(KINDS)
    if kind is not None:
        if kind.removesuffix("s") not in kinds:
            raise unknown("kind of part that can be checked", kind, kinds)
        kinds = [kind.removesuffix("s")]
    known = {k: [entry.name for entry in registry.entries(k)] for k in kinds}
    if not names:
        yield from ((k, name) for k, parts in known.items() for name in parts)
    for word in names:
        before, _, after = word.partition(":")
        if before in KINDS and after:
            registry.find(before, after)
            yield before, after
            continue
        where = [k for k, parts in known.items() if before in parts]
        if not where:
            raise unknown("part", before, {name for parts in known.values() for name in parts}, "sslkit list")
        yield from ((k, word) for k in where)


def check_parts(names: Sequence[str], kind: str | None = None) -> Iterator[list[Finding]]:
    """The findings of every part that is meant, one part after another; one that cannot be loaded is a finding."""
    for k, name in chosen(names, kind):
        try:
            yield check_part(k, name)
        except UserError as error:
            yield [Finding(k, name, "loads", "It can be imported, and is of its kind.", "failed", str(error))]
