"""Class folders below a folder of data, in the order of torchvision's ImageFolder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sslkit.data import Raw
from sslkit.errors import UserError
from sslkit.image import SUFFIXES


def class_folders(root: Path, train: str, test: str, layout: str) -> tuple[list[str], Raw, Raw]:
    """Class names, training part and test part of `root/train/CLASS/**` and `root/test/CLASS/**`.

    The classes are those of the training part; in the test part some may be missing. Links are followed. What is
    hidden (its name begins with a dot) is left out, and so are files without the suffix of an image.

    Args:
        layout: what is expected, for the messages.

    Raises:
        UserError: a folder is missing, a class of the training part is empty, or the test part has another class.
    """
    for part in (train, test):
        if not (root / part).is_dir():
            raise UserError(f"no folder {root / part}; expected {layout}")
    classes, tested = _classes(root / train), {*_classes(root / test)}
    if not classes or not tested:
        raise UserError(f"{root / (test if classes else train)} holds no class folder; expected {layout}")
    strange = sorted(tested - {*classes})
    if strange:
        raise UserError(f"{root / test} has classes that {root / train} has not: {', '.join(strange[:3])}")
    inside = [files_below(root, f"{train}/{name}") for name in classes]
    for name, files in zip(classes, inside, strict=True):
        if not files:
            raise UserError(f"{root / train / name} holds no image ({', '.join(SUFFIXES)}); remove or fill it")
    outside = [files_below(root, f"{test}/{name}") if name in tested else [] for name in classes]
    if not any(outside):
        raise UserError(f"{root / test} holds no image ({', '.join(SUFFIXES)}); expected {layout}")
    return classes, _raw(root, inside), _raw(root, outside)


def files_below(root: Path, folder: str) -> list[str]:
    """Image files in `root/folder` and its folders, as paths relative to `root` with forward slashes, in order.

    Raises:
        UserError: a folder cannot be read, or a name is not UTF-8.
    """
    found = []
    for at, files in sorted(_walk(os.path.join(root, folder))):
        below = Path(os.path.relpath(at, root)).as_posix()
        found += [f"{below}/{name}" for name in sorted(files) if name.lower().endswith(SUFFIXES) and name[0] != "."]
    try:
        "".join(found).encode()
    except UnicodeEncodeError:
        raise UserError(f"{folder!a} in {root} holds a file or folder whose name is not UTF-8; rename it") from None
    return found


def _raw(root: Path, files: list[list[str]]) -> Raw:
    label = np.repeat(np.arange(len(files)), [len(names) for names in files])
    return Raw([name for names in files for name in names], label, root=root)


def _classes(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


def _walk(top: str) -> Iterator[tuple[str, list[str]]]:
    def refuse(error: OSError) -> None:
        raise UserError(f"cannot read folder {error.filename}: {error.strerror}")

    for at, inside, files in os.walk(top, onerror=refuse, followlinks=True):
        inside[:] = [name for name in inside if not name.startswith(".")]
        yield at, files
