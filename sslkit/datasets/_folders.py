"""Class folders below a folder of data, in the order of torchvision's ImageFolder."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from sslkit.data import Raw
from sslkit.data.formats import NO_SUFFIX, counted, is_image, kind, suffixes
from sslkit.errors import UserError
from sslkit.store import anywhere, is_store
from sslkit.store.drives import PASSING


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
    """Image files in `root/folder` and its folders; see `files_in`."""
    return files_in(root, [folder], left)[0]


def files_in(
    root: Path,
    folders: Sequence[str],
    left: Counter[str] | None = None,
    labels: Sequence[int] | None = None,
    again: list[str] | None = None,
) -> list[list[str]]:
    """Image files in each of some folders and those below, as paths relative to `root` with forward slashes, in order.

    However many links lead to a folder, it is read once: where it lies itself, if that is in one of `folders`, else at
    the first link.

    Args:
        left: gets the suffixes of the files that are no images, and their numbers.
        labels: what each of `folders` is a class of, -1 for none; by default each is a class of its own.
        again: gets the links that are not followed, as their folder is read already.

    Raises:
        UserError: a folder cannot be read, a name is not UTF-8, a link leads back to a folder that it lies in, or links
            in two classes lead to one folder that lies in none.
    """
    walk = _Walk(root, range(len(folders)) if labels is None else labels, [] if again is None else again)
    for place, folder in enumerate(folders):
        walk.begin(place, folder)
    walk.follow()
    return [_listed(root, folder, walk.found[place], left) for place, folder in enumerate(folders)]


def _listed(root: Path, folder: str, found: list[tuple[str, list[str]]], left: Counter[str] | None) -> list[str]:
    names = []
    for at, files in sorted(found):
        below = Path(os.path.relpath(at, root)).as_posix()
        names += images_among(at, files, f"{below}/" if below != "." else "", left)
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        raise UserError(f"{folder!a} in {root} holds a file or folder whose name is not UTF-8; rename it") from None
    return names


def filled(root: Path, folder: str) -> list[str]:
    """`files_below` of a class folder, which must hold an image."""
    left: Counter[str] = Counter()
    files = files_below(root, folder, left)
    if not files:
        raise empty(root, folder, left)
    return files


def empty(root: Path, folder: str, left: Mapping[str, int]) -> UserError:
    """What is said of a class folder without an image."""
    return UserError(f"{root / folder} holds no image{none_but(left)}; remove or fill it")


def images_among(folder: str, files: Iterable[str], before: str, left: Counter[str] | None = None) -> list[str]:
    """Those of the files in a folder that are images, by suffix or, without one, by content, and not hidden, sorted.

    Args:
        before: is put in front of each.
        left: see `files_below`.
    """
    seen, known = [name for name in sorted(files) if not name.startswith(".")], suffixes()
    images = [name for name in seen if _is_one(folder, name, known)]
    if left is not None:
        left.update(kind(os.path.join(folder, name)) for name in {*seen} - {*images})
    return [before + name for name in images]


def has_image(folder: str, files: Iterable[str]) -> bool:
    """Whether one of the files in a folder is such an image; those behind the first are not looked at."""
    known = suffixes()
    return any(_is_one(folder, name, known) for name in files if not name.startswith("."))


def _is_one(folder: str, name: str, known: tuple[str, ...]) -> bool:
    return name.lower().endswith(known) or is_image(os.path.join(folder, name))


def none_but(left: Mapping[str, int]) -> str:
    """What there is where an image is missed, to be put behind that."""
    bare = "; of the files without a suffix no reader knows the content" if NO_SUFFIX in left else ""
    return f" but {counted(left)}{bare}" if left else ""


def _raw(root: Path, files: list[list[str]]) -> Raw:
    label = np.repeat(np.arange(len(files)), [len(names) for names in files])
    return Raw([name for names in files for name in names], label, root=root)


def class_names(folder: Path, lost: bool = False) -> list[str]:
    """The folders in a folder, sorted.

    Args:
        lost: links in it may lead nowhere.

    Raises:
        UserError: it cannot be read, or a link in it that may be one leads nowhere: a class would be lost.
    """
    try:
        seen = [entry for entry in anywhere.scandir(folder) if not is_hidden(entry.name)]
    except OSError as error:
        raise UserError(f"cannot read folder {folder}: {error.strerror}") from None
    for entry in [] if lost else seen:
        if entry.is_symlink() and not os.path.exists(entry.path) and not os.path.splitext(entry.name)[1]:
            raise UserError(f"{entry.path} is a link that leads nowhere; mend or remove it")
    return sorted(entry.name for entry in seen if entry.is_dir() and not holds_runs(entry.path))


def holds_runs(folder: str) -> bool:
    """Whether a folder is a store, which may lie among the images, and no class: no image lies in it itself."""
    return is_store(folder) and not has_image(folder, anywhere.listdir(folder))


def is_hidden(name: str) -> bool:
    """Notebook checkpoints and the like, and what the archiver of macOS leaves behind."""
    return name.startswith(".") or name == "__MACOSX"


class _Walk:
    """A walk through folders that enters each once; links wait until all that lies in the folders itself is read."""

    def __init__(self, root: Path, labels: Sequence[int], again: list[str]) -> None:
        self.root, self.labels, self.again = root, labels, again
        self.found: dict[int, list[tuple[str, list[str]]]] = {}  # place in the list of folders -> (folder, its files)
        self._owner: dict[str, tuple[int, str]] = {}  # real path -> place, and the link that led to it, or ""
        self._links: deque[tuple[int, str]] = deque()

    def begin(self, place: int, folder: str) -> None:
        top = os.path.join(self.root, folder)
        self.found[place] = []
        if os.path.islink(top):
            self._links.append((place, top))
        else:
            self._enter(place, top, os.path.realpath(top), "")

    def follow(self) -> None:
        while self._links:
            place, link = self._links.popleft()
            real = os.path.realpath(link)
            if real not in self._owner and real in map(str, Path(os.path.realpath(os.path.dirname(link))).parents):
                raise UserError(f"{link} is a link to a folder that it lies in; remove it")
            self._enter(place, link, real, link)

    def _enter(self, place: int, top: str, real: str, link: str) -> None:
        for at, inside, files in walk(top, _refuse):
            here = real + at[len(top) :]
            if here in self._owner:
                self._met(place, at, link, *self._owner[here])
                inside.clear()
                continue
            if holds_runs(at):
                inside.clear()
                continue
            self._owner[here] = place, link
            self.found[place].append((at, files))
            shown = [os.path.join(at, name) for name in sorted(inside) if not is_hidden(name)]
            self._links += [(place, path) for path in shown if os.path.islink(path)]
            inside[:] = [os.path.basename(path) for path in shown if not os.path.islink(path)]

    def _met(self, place: int, at: str, link: str, owner: int, first: str) -> None:
        """The folder `at` was read before for `owner`, by the link `first` or, if that is "", where it lies."""
        one, other = self.labels[owner], self.labels[place]
        if first and link and one != other and -1 not in (one, other):
            raise UserError(
                f"{first} and {link} lead to one folder, and an image has one class; remove one of the links"
            )
        self.again.append(os.path.relpath(at, self.root))


def _refuse(error: OSError) -> None:
    raise UserError(f"cannot read folder {error.filename}: {error.strerror}")


def walk(top: str, onerror: Callable[[OSError], None]) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk` that follows links. Where a drive fails when it is asked what a name is, that takes it for a file.

    Args:
        onerror: is called where a folder cannot be read.
    """
    waiting = [top]
    while waiting:
        at = waiting.pop()
        try:
            entries = [(entry.name, _is_folder(entry)) for entry in anywhere.scandir(at)]
        except OSError as error:
            onerror(error)
            continue
        inside, files = ([name for name, is_folder in entries if is_folder is wanted] for wanted in (True, False))
        yield at, inside, files
        waiting += [os.path.join(at, name) for name in reversed(inside)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in PASSING:
            raise
        return False
