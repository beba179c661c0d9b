"""The registry: which parts exist, what they say of themselves, and where they come from.

A part is one class in one module. Built-in parts are found by their folder and described by their docstring,
which is parsed, not imported; foreign parts come from entry points or from a file given by `--plugin`. A part
is imported when it is used.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sslkit.errors import UserError, one_line, unknown

# kind -> the package whose modules are its built-in parts, and the base class of its parts. The entry-point
# group is `sslkit.<kind>s`.
KINDS = {
    "algorithm": ("algorithms", "contracts:Algorithm"),
    "teacher": ("algorithms.teachers", "contracts:Teacher"),
    "labeler": ("algorithms.labelers", "contracts:PseudoLabeler"),
    "mixer": ("algorithms.mixers", "contracts:Mixer"),
    "backbone": ("backbones", "network:Classifier"),
    "dataset": ("datasets", "data:Dataset"),
}
T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class Entry:
    """One part as the registry knows it before it is imported."""

    kind: str
    name: str
    description: str
    paper: str
    origin: str  # "built in", "DISTRIBUTION VERSION" or "FILE (sha256 …)"
    load: Callable[[], type]


_plugins: dict[Path, list[Entry]] = {}
_loading: list[Entry] | None = None  # where `register` puts the parts of the plug-in file being executed


def register(kind: str, name: str | None = None) -> Callable[[T], T]:
    """Class decorator that makes a class a part of `kind`.

    `name` defaults to the module's name, which is what built-in parts use. A part's description is the first
    line of its docstring, its paper a line that begins with `Paper:`.
    """
    if kind not in KINDS:
        raise unknown("kind of part", kind, KINDS)

    def mark(cls: T) -> T:
        module = sys.modules[cls.__module__]
        part_name = name or Path(str(module.__file__)).stem
        parts = module.__dict__.setdefault("__sslkit_parts__", {})
        parts[kind, part_name] = cls
        if _loading is not None:
            description, paper = _describe(cls.__doc__ or module.__doc__)
            origin = f"{module.__file__}"
            _loading.append(Entry(kind, part_name, description, paper, origin, lambda: cls))
        return cls

    return mark


def entries(kind: str) -> list[Entry]:
    """All parts of `kind`, built in first, without importing any. Parts of one name all stand in the list."""
    if kind not in KINDS:
        raise unknown("kind of part", kind, KINDS, "sslkit list")
    plugins = [entry for parts in _plugins.values() for entry in parts if entry.kind == kind]
    return [*_built_in(kind), *_installed(kind), *plugins]


def find(kind: str, name: str) -> Entry:
    """The part called `name` (what follows a colon in it is its argument and does not count).

    Raises:
        UserError: there is no such part (with suggestions), or there are two (naming both).
    """
    known = entries(kind)
    found = [entry for entry in known if entry.name == name.partition(":")[0]]
    if not found:
        raise unknown(kind, name, {entry.name for entry in known}, f"sslkit list {kind}s")
    if len(found) > 1:
        origins = " and ".join(entry.origin for entry in found)
        raise UserError(f"two {kind}s are called {name!r}: {origins}; rename or uninstall one of them")
    return found[0]


def load(kind: str, name: str) -> type[Any]:
    """Import the part called `name` and return its class.

    Raises:
        UserError: as `find` and `load_entry`.
    """
    return load_entry(find(kind, name))


def argument(kind: str, name: str, cls: type) -> dict[str, str]:
    """What follows the colon in `name`, as the keyword parameter that the part calls its `argument`.

    Raises:
        UserError: it is missing, or not wanted.
    """
    keyword: str | None = getattr(cls, "argument", None)
    part, colon, given = name.partition(":")
    if keyword and not given:
        raise UserError(f"{kind} {part!r} needs a {keyword}: {part}:{keyword.upper()}")
    if colon and not keyword:
        raise UserError(f"{kind} {part!r} takes nothing after a colon, got {name!r}")
    return {keyword: given} if keyword else {}


def load_entry(entry: Entry) -> type[Any]:
    """Import a part.

    Raises:
        UserError: it cannot be imported (with the reason), or is not of its kind.
    """
    module, _, base = KINDS[entry.kind][1].partition(":")
    try:
        cls = entry.load()
    except (Exception, SystemExit) as error:
        why = f"cannot be loaded: {one_line(error)}"
        raise UserError(f"{entry.kind} {entry.name!r} ({entry.origin}) {why}") from error
    if not (isinstance(cls, type) and issubclass(cls, getattr(importlib.import_module(f"sslkit.{module}"), base))):
        raise UserError(f"{entry.kind} {entry.name!r} ({entry.origin}) is not a subclass of sslkit.{module}.{base}")
    return cls


def load_plugin(path: str | os.PathLike[str]) -> None:
    """Execute one plug-in file; the parts it registers are known from then on.

    Raises:
        UserError: no such file, the file fails, or it registers nothing.
    """
    global _loading  # noqa: PLW0603
    file = Path(path).expanduser().resolve()
    if file in _plugins:
        return
    if not file.is_file():
        raise UserError(f"no plug-in file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(f"sslkit_plugin_{len(_plugins)}_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in file {str(path)!r} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    _loading, found = [], []
    try:
        spec.loader.exec_module(module)
        found = _loading
    except (Exception, SystemExit) as error:
        raise UserError(f"plug-in file {str(path)!r} cannot be loaded: {one_line(error)}") from error
    finally:
        _loading = None
        if not found:
            del sys.modules[spec.name]
    if not found:
        raise UserError(f"plug-in file {str(path)!r} registers no part; decorate a class with @sslkit.register")
    _plugins[file] = found


def plugin_hashes() -> dict[str, str]:
    """File -> sha256 of every plug-in file that was loaded."""
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in _plugins}


def _describe(docstring: str | None) -> tuple[str, str]:
    lines = [line.strip() for line in (docstring or "").strip().splitlines()] or [""]
    paper = next((line[6:].strip() for line in lines if line.startswith("Paper:")), "")
    return lines[0], paper


def _built_in(kind: str) -> Iterator[Entry]:
    package = KINDS[kind][0]
    folder = Path(__file__).parent.joinpath(*package.split("."))
    for file in sorted(folder.glob("[!_]*.py")):
        description, paper = _describe(ast.get_docstring(ast.parse(file.read_text("utf-8"))))
        module = f"sslkit.{package}.{file.stem}"
        key = (kind, file.stem)
        yield Entry(kind, file.stem, description, paper, "built in", partial(_from_module, module, key))


def _from_module(module: str, key: tuple[str, str]) -> type:
    part: type = importlib.import_module(module).__sslkit_parts__[key]
    return part


def _installed(kind: str) -> Iterator[Entry]:
    for point in importlib.metadata.entry_points(group=f"sslkit.{kind}s"):
        about = point.dist.metadata if point.dist else None
        summary = about["Summary"] or "" if about else ""
        origin = f"{about['Name']} {about['Version']}" if about else point.value
        yield Entry(kind, point.name, summary, "", origin, point.load)
