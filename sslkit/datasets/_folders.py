"""Class folders below a folder of data, in the order of torchvision's ImageFolder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from sslkit.data import Raw
from sslkit.data.formats import NO_SUFFIX, counted, is_image, kind, suffixes
from sslkit.errors import UserError


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
    classes, tested = class_names(root / train), {*class_names(root / test)}
    if not classes or not tested:
        raise UserError(f"{root / (test if classes else train)} holds no class folder; expected {layout}")
    strange = sorted(tested - {*classes})
    if strange:
        raise UserError(f"{root / test} has classes that {root / train} has not: {', '.join(strange[:3])}")
    inside = [filled(root, f"{train}/{name}") for name in classes]
    left: Counter[str] = Counter()
    outside = [files_below(root, f"{test}/{name}", left) if name in tested else [] for name in classes]
    if not any(outside):
        raise UserError(f"{root / test} holds no image{none_but(left)}; expected {layout}")
    return classes, _raw(root, inside), _raw(root, outside)


def files_below(root: Path, folder: str, left: Counter[str] | None = None) -> list[str]:
    """Image files in `root/folder` and its folders, as paths relative to `root` with forward slashes, in order.

    Args:
        left: gets the suffixes of the files that are no images, and their numbers.

    Raises:
        UserError: a folder cannot be read, a name is not UTF-8, or a link leads back to a folder that it lies in.
    """
    found = []
    for at, files in sorted(_walk(os.path.join(root, folder))):
        below = Path(os.path.relpath(at, root)).as_posix()
        found += images_among(at, files, f"{below}/" if below != "." else "", left)
    try:
        "".join(found).encode()
    except UnicodeEncodeError:
        raise UserError(f"{folder!a} in {root} holds a file or folder whose name is not UTF-8; rename it") from None
    return found


def filled(root: Path, folder: str, left: Counter[str] | None = None) -> list[str]:
    """The same of a class folder, which must hold an image."""
    own: Counter[str] = Counter()
    files = files_below(root, folder, own)
    if not files:
        raise UserError(f"{root / folder} holds no image{none_but(own)}; remove or fill it")
    if left is not None:
        left.update(own)
    return files


def images_among(folder: str, files: Iterable[str], before: str, left: Counter[str] | None = None) -> list[str]:
    """Those of the files in a folder that are images, by suffix or, without one, by content, and not hidden, sorted.

    Args:
        before: is put in front of each.
        left: see `files_below`.
    """
    seen, known = [name for name in sorted(files) if not name.startswith(".")], suffixes()
    images = [name for name in seen if name.lower().endswith(known) or is_image(os.path.join(folder, name))]
    if left is not None:
        left.update(kind(os.path.join(folder, name)) for name in {*seen} - {*images})
    return [before + name for name in images]


def none_but(left: Mapping[str, int]) -> str:
    """What there is where an image is missed, to be put behind that."""
    bare = "; of the files without a suffix no reader knows the content" if NO_SUFFIX in left else ""
    return f" but {counted(left)}{bare}" if left else ""


def _raw(root: Path, files: list[list[str]]) -> Raw:
    label = np.repeat(np.arange(len(files)), [len(names) for names in files])
    return Raw([name for names in files for name in names], label, root=root)


def class_names(folder: Path) -> list[str]:
    """The folders in a folder, sorted.

    Raises:
        UserError: it cannot be read, or a link in it that may be one leads nowhere: a class would be lost.
    """
    try:
        seen = [entry for entry in os.scandir(folder) if not is_hidden(entry.name)]
    except OSError as error:
        raise UserError(f"cannot read folder {folder}: {error.strerror}") from None
    for entry in seen:
        if entry.is_symlink() and not os.path.exists(entry.path) and not os.path.splitext(entry.name)[1]:
            raise UserError(f"{entry.path} is a link that leads nowhere; mend or remove it")
    return sorted(entry.name for entry in seen if entry.is_dir())


def is_hidden(name: str) -> bool:
    """Notebook checkpoints and the like, and what the archiver of macOS leaves behind."""
    return name.startswith(".") or name == "__MACOSX"


def _walk(top: str) -> Iterator[tuple[str, list[str]]]:
    def refuse(error: OSError) -> None:
        raise UserError(f"cannot read folder {error.filename}: {error.strerror}")

    for at, inside, files in os.walk(top, onerror=refuse, followlinks=True):
        inside[:] = [name for name in inside if not is_hidden(name)]
        for link in filter(os.path.islink, (os.path.join(at, name) for name in inside)):
            if os.path.realpath(link) in (os.path.realpath(at), *map(str, Path(os.path.realpath(at)).parents)):
                raise UserError(f"{link} is a link to a folder that it lies in; remove it")
        yield at, files
