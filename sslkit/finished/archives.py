"""Images in tar and zip files, which are not unpacked."""

from __future__ import annotations

import os
import posixpath
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sslkit.data.formats import NO_SUFFIX, suffixes
from sslkit.data.image import BadImageError
from sslkit.datasets._folders import is_hidden
from sslkit.errors import UserError, one_line

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
DAMAGE = (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile, RuntimeError, NotImplementedError)
NOWHERE = "it is a link to what is not in the archive"
Read = Callable[[], bytes]


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES) and path.is_file()


def images_in(path: Path, left: Counter[str]) -> Iterator[tuple[str, Read]]:
    """Name within the archive, and what reads the bytes, of every image in it, in the order of names.

    Images are those by suffix; what is hidden is left out. Links are what they lead to in the archive. Of a compressed
    tar, in which no file can be gone to, the bytes of all images are in memory; else one image is read at a time.

    Args:
        left: gets the suffixes of the files that are no images, and their numbers.

    Raises:
        UserError: the archive is damaged, or of a kind that Python does not read.
    """
    try:
        found = _zipped(path) if path.suffix.lower() == ".zip" else _tarred(path)
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from None
    for name in sorted(found):
        if any(is_hidden(part) for part in name.split("/") if part != ".."):
            continue
        if name.lower().endswith(suffixes()):
            yield name, found[name]
        else:
            left[os.path.splitext(name)[1].lower() or NO_SUFFIX] += 1


def _zipped(path: Path) -> dict[str, Read]:
    with zipfile.ZipFile(path) as archive:
        return {_name_in_zip(one): partial(_of_zip, path, one) for one in archive.infolist() if not one.is_dir()}


def _name_in_zip(one: zipfile.ZipInfo) -> str:
    """The name, with slashes for the backslashes of Windows."""
    from_windows = one.create_system == 0 and "/" not in one.filename
    return _plain(one.filename.replace("\\", "/") if from_windows else one.filename)


def _of_zip(path: Path, one: zipfile.ZipInfo) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(one)
    except DAMAGE as error:
        raise _lost(path, one.filename, one_line(error)) from error


def _tarred(path: Path) -> dict[str, Read]:
    with tarfile.open(path) as archive:
        members = {_plain(one.name): one for one in archive if one.isfile() or one.islnk() or one.issym()}
        meant = {name: _led(name, members) for name in members}
        plain = path.suffix.lower() == ".tar"
        if plain and not _has_end(archive):
            raise tarfile.ReadError(f"it is cut off or damaged behind {archive.getmembers()[-1].name}")
        if plain and not any(one.sparse for one in members.values()):
            return {name: partial(_piece, path, name, one) for name, one in meant.items()}
        wanted = {one for name, one in meant.items() if one and name.lower().endswith(suffixes())}
        held = {one: file.read() for one in wanted if (file := archive.extractfile(one))}  # which is None of no file
        return {name: partial(_held, path, name, one, held) for name, one in meant.items()}


def _has_end(archive: tarfile.TarFile) -> bool:
    """Whether there is the mark of its end where Python takes it to end, which is also at a header that is damaged."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    return archive.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _led(name: str, members: dict[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """The file that a member is, or leads to; None where that is not in the archive."""
    met = set[str]()
    while name in members and name not in met:
        met.add(name)
        one = members[name]
        if one.isfile():
            return one
        name = _plain(posixpath.normpath(posixpath.join("" if one.islnk() else posixpath.dirname(name), one.linkname)))
    return None


def _plain(name: str) -> str:
    """A name without the `/` and `./` that archivers put before it."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _lost(path: Path, name: str, why: str) -> BadImageError:
    return BadImageError(f"{path}/{name} cannot be read: {why}")


def _piece(path: Path, name: str, one: tarfile.TarInfo | None) -> bytes:
    if one is None:
        raise _lost(path, name, NOWHERE)
    try:
        with open(path, "rb") as file:
            file.seek(one.offset_data)
            return file.read(one.size)
    except OSError as error:
        raise _lost(path, name, one_line(error)) from error


def _held(path: Path, name: str, one: tarfile.TarInfo | None, held: dict[tarfile.TarInfo, bytes]) -> bytes:
    if one is None:
        raise _lost(path, name, NOWHERE)
    return held[one]
