"""The registry: which parts exist, what they say of themselves, and where they come from.

Built-in parts are found by their folder and described by their docstring, which is parsed; foreign ones come from
entry points, or from a file given by `--plugin`. A part is imported when it is used.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from sslkit.errors import UserError, one_line, unknown

# kind -> package of the built-in parts, base class of all parts; the entry-point group is `sslkit.<kind>s`
KINDS = {
    "algorithm": ("algorithms", "contracts:Algorithm"),
    "teacher": ("algorithms.teachers", "contracts:Teacher"),
    "labeler": ("algorithms.labelers", "contracts:PseudoLabeler"),
    "mixer": ("algorithms.mixers", "contracts:Mixer"),
    "pretrainer": ("algorithms.pretrainers", "contracts:Algorithm"),
    "backbone": ("backbones", "network:Classifier"),
    "adapter": ("algorithms.adapters", "adapter:Adapter"),
    "dataset": ("datasets", "data:Dataset"),
    "reader": ("readers", "reader:Reader"),
    "tracker": ("trackers", "tracker:Tracker"),
}
T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class Entry:
    """One part as the registry knows it before it is imported."""

    kind: str
    name: str
    description: str
    paper: str
    origin: str  # "built in", "DISTRIBUTION VERSION" or the file
    load: Callable[[], type]


plugins: dict[Path, list[Entry]] = {}  # file -> the parts it registered
_loading: list[Entry] | None = None  # where `register` puts the parts of the plug-in file being executed


def register(kind: str, name: str | None = None) -> Callable[[T], T]:
    """Class decorator that makes a class a part of `kind`, called as its module by default, as built-in parts are.

    A part's description is the first line of its docstring, its paper a line that begins with `Paper:`.
    """
    if kind not in KINDS:
        raise unknown("kind of part", kind, KINDS)

    def mark(cls: T) -> T:
        module = sys.modules[cls.__module__]
        part_name = name or Path(str(module.__file__)).stem
        module.__dict__.setdefault("__sslkit_parts__", {})[kind, part_name] = cls
        if _loading is not None:
            title, paper = (a or b for a, b in zip(_describe(cls.__doc__), _describe(module.__doc__), strict=True))
            _loading.append(Entry(kind, part_name, title, paper, str(module.__file__), lambda: cls))
        return cls

    return mark


def entries(kind: str) -> list[Entry]:
    """All parts of `kind`, built in first, without importing any. Parts of one name all stand in the list."""
    from_files = [entry for parts in plugins.values() for entry in parts if entry.kind == kind]
    return [*_built_in(kind), *installed(kind), *from_files]


def find(kind: str, name: str) -> Entry:
    """The part called `name` (what follows a colon in it is its argument and does not count).

    Raises:
        UserError: there is no such part (with suggestions), or there are two (naming both).
    """
    known = entries(kind)
    found = [entry for entry in known if entry.name == name.partition(":")[0]]
    if len(found) > 1:
        origins = " and ".join(entry.origin for entry in found)
        raise UserError(f"two {kind}s are called {name!r}: {origins}; rename or uninstall one of them")
    if not found:
        raise unknown(kind, name, {entry.name for entry in known}, f"sslkit list {kind}s")
    return found[0]


def load(kind: str, name: str) -> type[Any]:
    """The class of the part called `name`; raises as `find` and `load_entry`."""
    return load_entry(find(kind, name))


def load_entry(entry: Entry) -> type[Any]:
    """Import a part; UserError where that fails (with the reason), or where it is not of its kind."""
    module, _, base = KINDS[entry.kind][1].partition(":")
    what = f"{entry.kind} {entry.name!r} ({entry.origin})"
    try:
        cls = entry.load()
    except (Exception, SystemExit) as error:
        raise UserError(f"{what} cannot be loaded: {one_line(error)}") from error
    if not (isinstance(cls, type) and issubclass(cls, getattr(importlib.import_module(f"sslkit.{module}"), base))):
        raise UserError(f"{what} is not a subclass of sslkit.{module}.{base}")
    return cls


@contextmanager
def collecting(file: Path) -> Iterator[list[Entry]]:
    """While entered, parts that are registered are those of the plug-in `file`; without an error they stay known."""
    global _loading  # noqa: PLW0603
    _loading = found = list[Entry]()
    try:
        yield found
        plugins[file] = found
    finally:
        _loading = None


def _describe(docstring: str | None) -> tuple[str, str]:
    lines = [line.strip() for line in (docstring or "").strip().splitlines()] or [""]
    paper = next((line[6:].strip() for line in lines if line.startswith("Paper:")), "")
    return "" if lines[0].startswith("Options:") else lines[0], paper


@cache
def _built_in(kind: str) -> list[Entry]:
    package, found = KINDS[kind][0], []
    for f in sorted(Path(__file__).parent.joinpath(*package.split(".")).glob("[!_]*.py")):
        load = partial(_from_module, f"sslkit.{package}.{f.stem}", (kind, f.stem))
        found.append(Entry(kind, f.stem, *_describe(ast.get_docstring(ast.parse(f.read_bytes()))), "built in", load))
    return found


def _from_module(module: str, key: tuple[str, str]) -> type:
    return importlib.import_module(module).__sslkit_parts__[key]  # type: ignore[no-any-return]


@cache
def installed(kind: str) -> list[Entry]:
    """Parts of installed distributions, which are looked up once a process."""
    import importlib.metadata  # slow to import

    found = []
    for point in importlib.metadata.entry_points(group=f"sslkit.{kind}s"):
        about = point.dist.metadata if point.dist else {"Name": point.value, "Version": "", "Summary": ""}
        origin = f"{about['Name']} {about['Version']}".strip()
        found.append(Entry(kind, point.name, about["Summary"] or "", "", origin, point.load))
    return found
