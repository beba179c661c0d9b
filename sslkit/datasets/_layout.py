"""The folders of a user's data as a tree: what their names say, and which of them only stand around others."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sslkit.data.csv_files import composed
from sslkit.data.names import Names
from sslkit.datasets._folders import class_names, files_below, has_image, holds_runs, images_among, is_hidden, walk
from sslkit.datasets._labels_beside import PERHAPS, TABLES, is_table
from sslkit.errors import UserError
from sslkit.store import anywhere
from sslkit.store.drives import PASSING

KINDS = {  # by name, in small letters without spaces, hyphens and underlines
    "training": r"train(ing)?(val)?|labell?ed",
    "test": r"test(ing)?",
    "validation": r"val(id(ation)?)?|dev|eval(uation)?",
    "unlabelled": r"unlabell?ed|unsupervised|nolabels?",
}
CONTAINER = r"(jpe?g|png)?(images?|imgs?|pictures?|photos?|frames?|files?)|jpe?gs?|pngs?|data(set)?s?|raw"
GENERIC = rf"{CONTAINER}|\d+|v|set|split|part|new|old|final|full|mini|small"  # words that tell no two folders apart
# Configuration for images of one's own: FixMatch's threshold and weight. Semi-ViT's (0.6 and 5) are for networks that
# are good before the semi stage; one that is not is sure of wrong labels.
CAUTIOUS = {"labeler.tau": 0.95, "algo.lambda_u": 1.0}


def kind_of(name: str) -> str:
    """The kind of a folder that is called `name`, or ""."""
    return _kind(_plain(name), "(set|data|images)?")


def called(name: str) -> tuple[str, str]:
    """The kind of a folder of which a word of the name says it, or "", and its other words that say anything.

    `train_v2` is ("training", ""), `pets_train` ("training", "pets"), `trains` ("", "trains").
    """
    if kind_of(name):
        return kind_of(name), ""
    words = re.findall(r"[^\W\d_]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    kinds, rest, at = set[str](), list[str](), 0
    while at < len(words):
        ends = [end for end in (at + 2, at + 1) if end <= len(words) and _kind("".join(words[at:end]), "")]
        if ends:
            kinds.add(_kind("".join(words[at : ends[0]]), ""))
        elif not re.fullmatch(GENERIC, words[at]):
            rest.append(words[at])
        at = ends[0] if ends else at + 1
    return _one_kind(kinds), " ".join(rest)


def _one_kind(kinds: set[str]) -> str:
    """Training and validation are training, as in trainval; what is both unlabelled and training has no label."""
    if kinds == {"training", "validation"}:
        return "training"
    if kinds == {"training", "unlabelled"}:
        return "unlabelled"
    return kinds.pop() if len(kinds) == 1 else ""


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _kind(word: str, end: str) -> str:
    return next((kind for kind, said in KINDS.items() if re.fullmatch(f"({said}){end}", word)), "")


def holder(name: str) -> bool:
    """Whether a name only says that images are in the folder."""
    return bool(re.fullmatch(CONTAINER, _plain(name)))


def below(folder: str, name: str) -> str:
    """A path in a folder, where "" is the root."""
    return f"{folder}/{name}" if folder else name


@dataclass
class Tree:
    """Folders below a root, named by their paths from it; "" is the root.

    Hidden folders, stores, and links to a folder that lies beside them are no part of it.
    """

    root: Path
    again: list[str] = field(default_factory=list)  # such links
    _folders: dict[str, list[str]] = field(default_factory=dict)
    _holds: dict[str, bool] = field(default_factory=dict)
    _tables: dict[str, list[str]] = field(default_factory=dict)

    def folders(self, at: str) -> list[str]:
        """Names of the folders in a folder, sorted."""
        if at not in self._folders:
            names = class_names(self.root / at, lost=True)
            real = {name: os.path.realpath(self.root / at / name) for name in names}
            own = {real[name] for name in names if not (self.root / at / name).is_symlink()}
            twice = [name for name in names if (self.root / at / name).is_symlink() and real[name] in own]
            self.again += [below(at, name) for name in twice]
            self._folders[at] = [name for name in names if name not in twice]
        return self._folders[at]

    def images(self, at: str) -> list[str]:
        """Paths of the images that lie in a folder itself, links that lead nowhere among them."""
        files = (entry.name for entry in anywhere.scandir(self.root / at) if not entry.is_dir())
        return images_among(str(self.root / at), files, f"{at}/" if at else "")

    def holds(self, at: str) -> bool:
        """Whether there is an image in a folder or below it."""
        if at not in self._holds:
            self._holds[at] = any(has_image(folder, files) for folder, files in _walk(self.root / at))
        return self._holds[at]

    def inner(self, at: str, classes: Collection[str] = ()) -> str:
        """The folder that holds what a part holds, through folders that only stand around it.

        Such a one holds a single folder and no image. That folder holds folders, or is called as what holds images or
        as the part is; folders without an image that stand beside it do not count if it is.

        Args:
            classes: of the training part; a folder that is called so is a class.
        """
        whole = not at
        for _ in range(99):  # links may lead round
            name = self._only(at, whole, classes)
            if not name:
                break
            at = below(at, name)
        return at

    def _only(self, at: str, whole: bool, classes: Collection[str]) -> str:
        names = self.folders(at)
        if not names or self.images(at):
            return ""
        full = names if len(names) == 1 else [name for name in names if self.holds(below(at, name))]
        if len(full) != 1:
            return ""
        name, inside = full[0], below(at, full[0])
        if (
            composed(name) in classes
        ):  # it is one, unless the classes are in it, or the table of what it holds beside it
            around = bool({*self.classes(inside, classes)} & {*classes}) and not self.images(inside)
            return name if around or (holder(name) and self.tables(at)) else ""
        kind = called(name)[0]
        if whole and kind:
            return name if self._parted(inside, kind) else ""
        around = holder(name) or (bool(kind) and kind == called(os.path.basename(at))[0])
        return name if around or (len(names) == 1 and self.folders(inside)) else ""

    def _parted(self, at: str, kind: str) -> bool:
        """Whether a training part lies in a folder of this kind, and nothing beside it but other parts.

        In a training folder it is a class unless no image lies in it itself, it shares class names with a part, or a
        part has a table.
        """
        kinds = {name: called(name)[0] for name in self.folders(at) if self.holds(below(at, name))}
        inner = {name: {*self.classes(below(at, name))} for name in kinds}
        deep = [name for name in kinds if kinds[name] == "training" and inner[name]]
        others = {c for name in kinds if kinds[name] != "training" for c in inner[name]}
        sure = kind != "training" or any(self.tables(below(at, n)) for n in kinds if kinds[n] != "training")
        whole = any(sure or inner[n] & others or not self.images(below(at, n)) for n in deep)
        return whole and all(kinds.values())

    def classes(self, at: str, classes: Collection[str] = ()) -> list[str]:
        """Names of the folders with images in what a part holds."""
        inner = self.inner(at, classes)
        return [composed(name) for name in self.folders(inner) if self.holds(below(inner, name))]

    def tables(self, at: str) -> list[str]:
        """Paths of the tables that may be the labels of a part without class folders.

        They lie in its folder or in one around its images; or beside it, under its name or that with `_labels`.
        """
        if at not in self._tables:
            self._tables[at] = self._look_for_tables(at)
        return self._tables[at]

    def _look_for_tables(self, at: str) -> list[str]:
        inner, folders = self.inner(at), [at]
        while folders[-1] != inner:
            folders.append(below(folders[-1], inner[len(folders[-1]) :].lstrip("/").partition("/")[0]))
        found = [
            below(folder, entry.name)
            for folder in folders
            for entry in sorted(anywhere.scandir(self.root / folder), key=lambda entry: entry.name)
            if entry.is_file() and not is_hidden(entry.name)
        ]
        beside = [f"{at}{end}{suffix}" for suffix in (*TABLES, *PERHAPS) for end in ("", "_labels")] if at else []
        found += [path for path in beside if (self.root / path).is_file()]
        images = cache(lambda: Names(files_below(self.root, inner)))
        return [path for path in found if is_table(self.root / path, images)]


def _walk(top: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders and the files of each, links followed, each folder once."""
    seen = set[str]()
    for at, inside, files in walk(str(top), _left_out):
        real = os.path.realpath(at)
        if real in seen or holds_runs(at):
            inside.clear()
            continue
        seen.add(real)
        inside[:] = [name for name in inside if not is_hidden(name)]
        yield at, files


def _left_out(error: OSError) -> None:
    """A folder that may not be read is no part, as `lost+found` of a disk."""
    if error.errno in PASSING:
        raise error


@dataclass(frozen=True)
class Part:
    """What a part of the data is made of, as paths of folders."""

    classes: dict[str, list[str]]  # name -> its folders
    flat: list[str]  # whose own images have no class


def part(tree: Tree, places: Sequence[str], classes: Collection[str] = (), without: Collection[str] = ()) -> Part:
    """What lies at some places: "." is the root, "*/train" the folder train of each class, others are folders.

    Args:
        classes: of the training part, where this is another.
        without: folders at the root that are no classes.

    Raises:
        UserError: two class folders in one are called the same.
    """
    found: dict[str, list[str]] = {}
    flat = []
    for place in places:
        if place.startswith("*/"):
            name = place.removeprefix("*/")
            inner = {c: below(c, name) for c in tree.folders("") if (tree.root / c / name).is_dir()}
        else:
            at = tree.inner("" if place == "." else place, classes)
            flat.append(at)
            class_names(tree.root / at)  # none of them is a link that leads nowhere
            inner = {name: below(at, name) for name in tree.folders(at) if at or name not in without}
        for name, folder in _named(tree.root, inner).items():
            found.setdefault(name, []).append(folder)
    return Part(found, flat)


def _named(root: Path, folders: dict[str, str]) -> dict[str, str]:
    """Class -> folder; a class is called the same however the disk writes its accents.

    Raises:
        UserError: two folders are then called the same.
    """
    found: dict[str, str] = {}
    for name, folder in folders.items():
        if composed(name) in found:
            raise UserError(
                f"{root / os.path.dirname(folder)} has two folders called {name!r}, with their accents written in two "
                "ways; put their images into one"
            )
        found[composed(name)] = folder
    return found
