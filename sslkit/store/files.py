"""Files and folders that are whole or not there: written beside their place, and renamed into it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sslkit.errors import UserError, one_line
from sslkit.store import claims


def new_file(path: Path) -> None:
    """Say that a file cannot be made before the work for it is done.

    Raises:
        UserError: it is there, or its folder is not or cannot be written to.
    """
    if path.exists():
        raise UserError(f"{path} exists and is not overwritten; choose another --out")
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"--out {path}: nothing can be written to the folder {path.parent}")


def new_folder(path: Path) -> None:
    """Say that a folder cannot be made before the work for it is done; an empty one may be there.

    Raises:
        UserError: it is there with something in it, or it is a file.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} exists and is not overwritten; choose another --out")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` when the block ends without an error, and is on the disk then.

    Raises:
        UserError: it cannot be written (a full disk, say); what was there before is untouched.
        Lost: what this process had claimed was taken over, so that it writes nothing any more.
    """
    claims.check()
    temporary = _beside(path)
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        claims.check()
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {one_line(error)}") from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def filling(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` when the block ends without an error: all files, or none.

    Raises:
        UserError: it cannot be written.
    """
    temporary = _beside(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {one_line(error)}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A hidden name for this process alone; the store removes what a killed one left under such names."""
    path = path.absolute()
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def cut_off(files: Iterable[Path]) -> None:
    """Put copies in the place of files: who has one of them open, and appends to it, no longer appends to these.

    Raises:
        UserError: one cannot be written.
    """
    for file in files:
        with replacing(file) as temporary:
            shutil.copyfile(file, temporary)


def write_text(path: Path, text: str) -> None:
    """Write a small file atomically.

    Raises:
        UserError: it cannot be written; what was there before is untouched.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")
