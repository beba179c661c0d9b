"""Files on servers, named by URLs as fsspec has them: s3://BUCKET/FOLDER, gs://…, hf://datasets/…, memory://….

A folder is listed once, with sizes and versions, until `forget` is called; an image is one request.
"""

from __future__ import annotations

import errno
import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sslkit.errors import UserError
from sslkit.store.drives import DriveError
from sslkit.store.servers import Denied, asked, invalidate

T = TypeVar("T")
AT_ONCE = 16  # folders that are listed at a time
SMALLEST, LARGEST = 2**16, 2**22  # bytes that `Window` asks for
IN_PLACE = ("sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs", "dbfs")  # object stores have a file when all of it came
UNLISTED = ("http://", "https://")  # whose folders are pages, if any
VERSION = ("ETag", "etag", "md5Hash", "blob_id", "mtime", "LastModified", "last_modified", "updated", "created")
REMOTE = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://")

_lock = threading.Lock()
_folders: dict[str, dict[str, Entry] | Exception] = {}  # URL -> what is in it, or why that is not known
_files: dict[str, Entry | Exception] = {}  # URL -> what was asked of it alone


@dataclass(frozen=True, slots=True)
class Entry:
    """What is asked of an `os.DirEntry`."""

    path: str  # URL
    folder: bool
    size: int = 0
    version: str = ""  # another one for other content: the ETag, else the time of change

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def is_dir(self) -> bool:
        return self.folder

    def is_file(self) -> bool:
        return not self.folder

    def is_symlink(self) -> bool:
        return False


def forget() -> None:
    """Folders are listed anew when they are asked for the next time."""
    with _lock:
        _folders.clear()
        _files.clear()
    invalidate()


def folder(url: str) -> dict[str, Entry]:
    """Name -> what lies in a folder itself.

    Raises:
        OSError: there is no such folder.
        DriveError: the server fails, or lets nobody in.
    """
    url = url.rstrip("/")
    return _once(_folders, url, lambda: _listed(url), OSError, Denied)


def entry(url: str) -> Entry:
    """A file or folder. Where its folder cannot be listed, it alone is asked for, once.

    Raises:
        OSError: there is none.
        DriveError: as `folder`.
    """
    above, _, name = url.rstrip("/").rpartition("/")
    if above.endswith(":/"):  # a bucket
        folder(url)
        return Entry(url.rstrip("/"), True)
    if url.startswith(UNLISTED):
        return _alone(url, above)
    try:
        found = folder(above).get(name)
    except UserError as error:
        if isinstance(error, DriveError) and not isinstance(error, Denied):
            raise
        return _alone(url, above)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", url)
    return found


def _alone(url: str, above: str) -> Entry:
    return _once(_files, url, lambda: _entry(asked(url, lambda system, path: system.info(path)), above), OSError)


def _once(known: dict[str, T | Exception], url: str, ask: Callable[[], T], *errors: type[Exception]) -> T:
    """What was asked of a URL before, else is now: an answer, or one of these errors."""
    if url not in known:
        try:
            found: T | Exception = ask()
        except errors as error:
            found = error
        with _lock:
            known[url] = found
    answer = known[url]
    if isinstance(answer, Exception):
        raise answer
    return answer


def look_below(url: str) -> None:
    """List a folder and all that are in it, several at a time."""
    waiting = [url]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while waiting:
            inside = [one for some in pool.map(folder, waiting) for one in some.values()]
            waiting = [one.path for one in inside if one.folder and not one.name.startswith(".")]


def files_below(url: str) -> Iterator[Entry]:
    """All files in a folder and its folders, by name."""
    look_below(url)
    for _, one in sorted(folder(url).items()):
        if not one.folder:
            yield one
        elif not one.name.startswith("."):
            yield from files_below(one.path)


def read(url: str, start: int | None = None, end: int | None = None) -> bytes:
    """A file, or the bytes from `start` to before `end`; a negative start counts from the end of the file.

    Raises:
        OSError: there is none.
        DriveError: as `folder`.
    """

    def get(system: Any, path: str) -> bytes:
        try:
            data = bytes(system.cat_file(path, start=start, end=end))
        except Exception as error:
            if start is None or not re.search(r"\b416\b|range", str(error), re.IGNORECASE):
                raise
            return b""  # of an empty file no range can be had
        if start is not None and end is not None and start >= 0 and len(data) > end - start:
            raise OSError(errno.EIO, f"{len(data)} bytes came where {end - start} were asked for")
        return data

    return asked(url, get)


def write(source: Path, url: str) -> None:
    """Put a file there, which is whole or not there: where a server shows a half of it, under another name at first.

    Raises:
        DriveError: as `folder`.
    """

    def put(system: Any, path: str) -> None:
        if url.partition("://")[0] not in IN_PLACE:
            system.put_file(str(source), path)
            return
        above, _, name = path.rpartition("/")
        system.makedirs(above, exist_ok=True)
        beside = f"{above}/.{name}.{os.getpid()}.tmp"
        system.put_file(str(source), beside)
        system.mv(beside, path)

    asked(url, put)
    forget()


def remove(url: str) -> None:
    """Remove a file.

    Raises:
        OSError: there is none.
        DriveError: as `folder`.
    """
    asked(url, lambda system, path: system.rm_file(path))


class Window(io.RawIOBase):
    """A file that is read on from where it was gone to, in pieces that grow from 64 KB to 4 MB while they join."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.size, self.at = url, entry(url).size, 0
        self._start, self._data, self._piece = 0, b"", SMALLEST

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}[whence]
        return self.at

    def read(self, count: int = -1) -> bytes:
        end = self.size if count < 0 else min(self.size, self.at + count)
        if end <= self.at:
            return b""
        if not self._start <= self.at <= end <= self._start + len(self._data):
            self._fetch(end)
        found = self._data[self.at - self._start : end - self._start]
        self.at += len(found)
        return found

    def _fetch(self, end: int) -> None:
        joins = self._start <= self.at <= self._start + len(self._data)
        self._piece = min(2 * self._piece, LARGEST) if joins else SMALLEST
        self._start, self._data = self.at, read(self.url, self.at, min(self.size, max(end, self.at + self._piece)))


def _listed(url: str) -> dict[str, Entry]:
    infos = asked(url, lambda system, path: (path.strip("/"), system.ls(path, detail=True)))
    path, found = infos[0], dict[str, Entry]()
    for info in infos[1]:
        own = str(info["name"]).strip("/")
        if own == path and info["type"] != "directory" and len(infos[1]) == 1 and not str(info["name"]).endswith("/"):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", url)
        if own == path:  # the mark of a folder, which some programs leave
            continue
        one = _entry(info, url)
        if one.name not in found or one.folder:  # S3 may have a file and a folder of one name
            found[one.name] = one
    return found


def _entry(info: dict[str, Any], above: str) -> Entry:
    """What an answer says of a file or folder in `above`."""
    name = str(info["name"]).rstrip("/").rpartition("/")[2]
    version = next((str(info[key]) for key in VERSION if info.get(key)), "")
    return Entry(f"{above}/{name}", info["type"] == "directory", int(info.get("size") or 0), version)
