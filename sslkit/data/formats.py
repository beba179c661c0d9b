"""Which reader reads a file, and which files are images at all."""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sslkit import registry
from sslkit.errors import UserError
from sslkit.plugins import plugin_hashes
from sslkit.reader import Reader
from sslkit.store import anywhere
from sslkit.store.drives import PASSING

HEAD = 512  # bytes by which a file is known
LAST = "pillow"  # which reads what no other knows
BUILT_IN = "built in"
NO_SUFFIX = "without a suffix"
ARCHIVES = (".tar", ".tgz", ".zip", ".gz", ".7z", ".rar")


def reader_of(suffix: str, head: bytes) -> Reader:
    """The reader of a file: a foreign one of its suffix, the one that knows its beginning, that of its suffix, Pillow.

    Raises:
        UserError: two readers that were added both have its suffix, or a package is not installed.
    """
    suffix = suffix.lower()
    foreign, own = _readers(tuple(registry.plugins))
    added = [reader for reader in foreign.values() if suffix in reader.suffixes]
    if len(added) > 1:
        names = " and ".join(name for name, reader in foreign.items() if suffix in reader.suffixes)
        raise UserError(f"the readers {names} both read {suffix}; leave one out")
    every = [*foreign.values(), *own.values()]
    known = [reader for reader in every if reader.knows(head)]
    named = [reader for reader in own.values() if suffix in reader.suffixes]
    found = [*added, *known, *named, own[LAST]][0]
    if not is_there(found):
        raise UserError(f"{found.extra.upper()} is read by {found.module.replace('_', '-')}: {_install(found)}")
    return found


def suffixes() -> tuple[str, ...]:
    """Of the files that are images by their name, as far as what reads them is installed."""
    return _suffixes(tuple(registry.plugins))


def is_image(path: str) -> bool:
    """Whether a file without the suffix of a format is an image, by content: where it has none, or digits alone.

    DICOM files are often called so. Files with other suffixes are not opened.
    """
    if os.path.splitext(path)[1].strip(".0123456789"):
        return False
    head = beginning(path)
    return any(reader.knows(head) and is_there(reader) for reader in _all())


def beginning(path: str) -> bytes:
    """The first bytes of a file; none of what is no file, or cannot be opened.

    Raises:
        OSError: the drive fails.
    """
    try:
        if anywhere.is_elsewhere(path):
            return anywhere.read(path, 0, HEAD)
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "rb") as file:
                return file.read(HEAD)
    except OSError as error:
        if error.errno in PASSING:
            raise
    return b""


def kind(path: str) -> str:
    """How a file is called that is no image here: by its suffix, or by its content where what reads it is missing."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix.strip(".0123456789"):
        return suffix
    known = [reader for reader in _all() if reader.knows(beginning(path))]
    return f"{known[0].suffixes[0]} by content" if known else suffix or NO_SUFFIX


def counted(left: Mapping[str, int]) -> str:
    """Files that are no images: how many of each kind, and what reads them: "3 .heic, 1 .txt; pip install …"."""
    counts = ", ".join(f"{number} {name}" for name, number in sorted(left.items()))
    install = {_install(reader): reader for reader in _all() if not is_there(reader)}
    kinds = {name.split()[0] for name in left}
    said = [f"{how} reads {', '.join(r.suffixes)}" for how, r in install.items() if {*r.suffixes} & kinds]
    packed = [name for name in ARCHIVES if name in left]
    return "; ".join([counts, *said, *([f"unpack {', '.join(packed)}"] if packed else [])])


def is_there(reader: Reader) -> bool:
    """Whether the package that a reader needs is installed."""
    return not reader.module or _installed(reader.module)


def added() -> list[str]:
    """What tells the readers that did not come in the box, and their versions, from others."""
    origins = {entry.origin for entry in registry.entries("reader") if entry.origin != BUILT_IN}
    return sorted(f"{origin} {plugin_hashes().get(origin, '')}" for origin in origins)


def _all() -> list[Reader]:
    return [reader for some in _readers(tuple(registry.plugins)) for reader in some.values()]


@cache
def _readers(_: tuple[Path, ...]) -> tuple[dict[str, Reader], dict[str, Reader]]:
    """Name -> reader, of those that were added to the box and of those in it, for the plug-in files that are loaded."""
    entries = registry.entries("reader")
    for entry in entries:
        registry.find("reader", entry.name)
    made = [
        {e.name: registry.load_entry(e)() for e in entries if (e.origin == BUILT_IN) == own} for own in (False, True)
    ]
    return made[0], made[1]


@cache
def _suffixes(_: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(suffix for reader in _all() if is_there(reader) for suffix in reader.suffixes))


@cache
def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _install(reader: Reader) -> str:
    return f"pip install 'sslkit[{reader.extra}]'"
