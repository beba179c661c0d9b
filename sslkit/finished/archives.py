"""Images in tar and zip files, which are not unpacked."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sslkit.data.formats import NO_SUFFIX, suffixes
from sslkit.datasets._folders import is_hidden
from sslkit.errors import UserError, one_line

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
DAMAGE = (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile, RuntimeError, NotImplementedError)
Read = Callable[[], bytes]


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES) and path.is_file()


def images_in(path: Path, left: Counter[str]) -> Iterator[tuple[str, Read]]:
    """Name within the archive, and what reads the bytes, of every image in it, in the order of names.

    Images are those by suffix; what is hidden is left out. Of a compressed tar, in which no file can be gone to, the
    bytes of all images are in memory; else one image is read at a time.

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
        if any(map(is_hidden, name.split("/"))):
            continue
        if name.lower().endswith(suffixes()):
            yield name, found[name]
        else:
            left[os.path.splitext(name)[1].lower() or NO_SUFFIX] += 1


def _zipped(path: Path) -> dict[str, Read]:
    with zipfile.ZipFile(path) as archive:
        return {one.filename: partial(_of_zip, path, one) for one in archive.infolist() if not one.is_dir()}


def _of_zip(path: Path, one: zipfile.ZipInfo) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(one)
    except DAMAGE:
        return b""  # which no reader takes for an image: it is named as one that cannot be read


def _tarred(path: Path) -> dict[str, Read]:
    with tarfile.open(path) as archive:
        members = [one for one in archive if one.isfile()]
        if path.suffix.lower() == ".tar" and not any(one.sparse for one in members):
            return {one.name: partial(_piece, path, one.offset_data, one.size) for one in members}
        wanted = [one for one in members if one.name.lower().endswith(suffixes())]
        held = {one.name: file.read() for one in wanted if (file := archive.extractfile(one))}
        return {one.name: partial(bytes, held.get(one.name, b"")) for one in members}  # bytes(x) is x, no copy


def _piece(path: Path, start: int, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(size)
