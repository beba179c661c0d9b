"""Files wherever they are: what `os` and `pathlib` answer for paths here, for URLs and for members of tar files, too.

A path here goes the way that it always went. A member of a tar file is a text: the file, its first byte and its size,
and its name, with zeros between, which no path has.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path, PosixPath
from typing import Any

from sslkit.store import remote
from sslkit.store.remote import REMOTE

PathLike = str | os.PathLike[str]
FILE = "file://"
BETWEEN = "\0"


def is_remote(path: PathLike) -> bool:
    """Whether it is the URL of a file on a server."""
    text = os.fspath(path)
    return "://" in text and REMOTE.match(text) is not None


def is_elsewhere(path: PathLike) -> bool:
    """Whether it is no path of a file here: on a server, or within a tar file."""
    text = os.fspath(path)
    return BETWEEN in text or is_remote(text)


def place(text: PathLike) -> Path:
    """The path that a user names; `~` and `file://` are heeded."""
    text = os.fspath(text)
    return Remote(text) if is_remote(text) else Path(text.removeprefix(FILE)).expanduser()


def join(folder: PathLike, name: PathLike) -> str:
    """A name below a folder; URLs and absolute paths are as they are."""
    return os.fspath(name) if is_remote(name) else os.path.join(folder, name)


def member(file: PathLike, start: int, size: int, name: str) -> str:
    """What a member of a tar file is opened by."""
    return BETWEEN.join((os.fspath(file), f"{start}+{size}", name))


def shown(path: PathLike) -> str:
    """How a place is called in a message."""
    file, _, rest = os.fspath(path).partition(BETWEEN)
    return f"{file}/{rest.partition(BETWEEN)[2]}" if rest else file


def scandir(path: PathLike) -> list[Any]:
    """As `os.scandir`."""
    return [*remote.folder(os.fspath(path)).values()] if is_remote(path) else [*os.scandir(path)]


def listdir(path: PathLike) -> list[str]:
    """As `os.listdir`."""
    return [*remote.folder(os.fspath(path))] if is_remote(path) else os.listdir(path)


def exists(path: PathLike) -> bool:
    """As `os.path.exists`."""
    if not is_remote(path):
        return os.path.exists(path)
    try:
        remote.entry(os.fspath(path))
    except OSError:
        return False
    return True


def isfile(path: PathLike) -> bool:
    """As `os.path.isfile`."""
    return Remote(path).is_file() if is_remote(path) else os.path.isfile(path)


def look_below(path: PathLike) -> None:
    """List all folders below one on a server at a time; here they are listed when they are asked for."""
    if is_remote(path):
        remote.look_below(os.fspath(path))


def size(path: PathLike) -> int:
    """Bytes of a file.

    Raises:
        OSError: there is none.
    """
    _, span = _span(path)
    if span:
        return span[1]
    return remote.entry(os.fspath(path)).size if is_remote(path) else os.stat(path).st_size


def mark(path: PathLike) -> str:
    """A text that is another one for another file or other content: path, size and time of change, or version.

    Raises:
        OSError: there is none.
    """
    file, span = _span(path)
    if span:
        return f"{mark(file)}\0{span[0]}+{span[1]}"
    if is_remote(file):
        one = remote.entry(file)
        return f"{file}\0{one.size}\0{one.version}"
    about = os.stat(file)
    return f"{os.path.abspath(file)}\0{about.st_size}\0{about.st_mtime_ns}"


def opened(path: PathLike) -> io.BufferedReader | io.BytesIO:
    """To be read in bytes; what is elsewhere is in memory then.

    Raises:
        OSError: there is none.
    """
    return io.BytesIO(read(path)) if is_elsewhere(path) else open(path, "rb")


def read(path: PathLike, start: int = 0, end: int | None = None) -> bytes:
    """The bytes of a file from `start`, which may count from its end, to before `end`.

    Raises:
        OSError: there is none, or the member of a tar file is cut off.
    """
    file, span = _span(path)
    if span:
        return _of_member(file, span, start, end)
    if is_remote(file):
        return remote.read(file, start or None, end) if end is None else remote.read(file, start, end)
    with open(file, "rb") as opened:
        if start < 0:
            opened.seek(max(0, os.fstat(opened.fileno()).st_size + start))
        elif start:
            opened.seek(start)
        return opened.read() if end is None else opened.read(end - start)


def _of_member(file: str, span: tuple[int, int], start: int, end: int | None) -> bytes:
    first, size = span
    low = max(0, size + start) if start < 0 else min(start, size)
    high = size if end is None else min(end, size)
    if high <= low:
        return b""
    found = read(file, first + low, first + high)
    if len(found) < high - low:
        raise OSError(errno.EINVAL, f"the file ends within it: {len(found)} of {high - low} bytes are there", file)
    return found


def _span(path: PathLike) -> tuple[str, tuple[int, int] | None]:
    """The file, and of a member of a tar file its first byte and its size."""
    file = os.fspath(path)
    if BETWEEN not in file:
        return file, None
    file, _, rest = file.partition(BETWEEN)
    start, _, size = rest.partition(BETWEEN)[0].partition("+")
    return file, (int(start), int(size))


class Remote(PosixPath):
    """A URL as a path: what is asked of it is asked of the server."""

    def __str__(self) -> str:
        scheme, slash, rest = super().__str__().partition(":/")
        return f"{scheme}://{rest}" if slash and "/" not in scheme else scheme + slash + rest

    def __fspath__(self) -> str:
        return str(self)

    def exists(self, **_: Any) -> bool:
        return self.is_dir() or exists(self)

    def is_dir(self, **_: Any) -> bool:
        try:
            remote.folder(str(self))
        except OSError:
            return False
        return True

    def is_file(self, **_: Any) -> bool:
        try:
            return not remote.entry(str(self)).folder
        except OSError:
            return False

    def is_symlink(self) -> bool:
        return False

    def expanduser(self) -> Remote:
        return self

    def absolute(self) -> Remote:
        return self

    def resolve(self, strict: bool = False) -> Remote:
        return self

    def read_bytes(self) -> bytes:
        return remote.read(str(self))

    def iterdir(self) -> Iterator[Path]:  # type: ignore[override]
        return (self / name for name in remote.folder(str(self)))

    def rglob(self, pattern: str, **_: Any) -> Iterator[Path]:  # type: ignore[override]
        below = (Remote(one.path) for one in remote.files_below(str(self))) if self.is_dir() else ()
        return (path for path in below if path.match(pattern))
