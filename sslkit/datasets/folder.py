"""Images in folders of one's own, `folder:DIR`: class folders, parts under the usual names, heaps without labels."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from sslkit.data import Dataset, Raw
from sslkit.data.csv_files import class_order, composed
from sslkit.data.formats import counted
from sslkit.data.label_files import first, label_by
from sslkit.datasets._folders import class_names, files_below, filled, images_among, none_but
from sslkit.datasets._layout import CAUTIOUS, Layout, innermost, layout_of
from sslkit.errors import UserError
from sslkit.registry import register

EXPECTED = "class folders, as DIR/cat/1.jpg or DIR/train/cat/1.jpg, perhaps DIR/test and DIR/unlabeled beside them"


@register("dataset")
class Folder(Dataset):
    """Classes are the folders of the training part: by number where all are numbers, else sorted.

    Images beside class folders, and those of folders for unlabelled images, have no label and come last in the training
    part. A part without class folders is labelled by the table that lies in it, or beside it under its name.
    """

    argument = "dir"
    defaults = CAUTIOUS

    def __init__(self, *, dir: str) -> None:
        self.dir = Path(dir).expanduser()
        self._left: Counter[str] = Counter()  # suffixes of files that are no images

    def read(self) -> tuple[list[str], Raw, Raw]:
        if not self.dir.is_dir():
            raise UserError(f"no folder {self.dir}")
        self._left.clear()
        self.dir = innermost(self.dir)
        layout = layout_of(self.dir)
        self.remarks = [f"{self.dir}: {layout}"]
        classes, train = self._training(layout)
        test = self._test(layout.test, classes) if layout.test else self._raw([], [])
        if self._left:
            self._say(f"left out are files that by their names are no images: {counted(self._left)}")
        return classes, train, test

    def _training(self, layout: Layout) -> tuple[list[str], Raw]:
        named = _named(self.dir / layout.train, layout.classes)
        folders = {name: f"{layout.train}/{folder}".lstrip("/") for name, folder in named.items()}
        classes = class_order(folders)
        inside = [filled(self.dir, folders[name], self._left) for name in classes]
        self._nested([folders[name] for name in classes], inside)
        heaps = [files_below(self.dir, name, self._left) for name in layout.unlabelled]
        raw = self._raw(inside, sum(heaps, self._loose(layout.train)))
        if not len(raw.images):
            raise UserError(f"{self.dir} holds no image to train on{none_but(self._left)}; expected {EXPECTED}")
        return self._by_table(layout.train, classes, raw) if layout.train and not classes else (classes, raw)

    def _test(self, name: str, classes: list[str]) -> Raw:
        named = _named(self.dir / name, class_names(self.dir / name))
        folders = {c: f"{name}/{folder}" for c, folder in named.items()}
        loose = self._loose(name)
        if not folders:
            return self._by_table(name, classes, self._raw([], loose))[1]
        strange = sorted(folders.keys() - {*classes})
        if strange:
            raise UserError(f"{self.dir / name} has classes that the training part has not: {first(strange)}")
        if loose:
            self._say(f"images beside the class folders of {name} are not used: {len(loose)}")
        return self._raw([files_below(self.dir, folders[c], self._left) if c in folders else [] for c in classes], [])

    def _by_table(self, part: str, classes: list[str], raw: Raw) -> tuple[list[str], Raw]:
        """A part without class folders, with the labels of its table; where there is no table, as it is."""
        inside = sorted(entry.name for entry in os.scandir(self.dir / part) if entry.name.lower().endswith(".csv"))
        beside = [name for name in (f"{part}.csv", f"{part}_labels.csv") if (self.dir / name).is_file()]
        tables = [f"{part}/{name}" for name in inside] + beside
        if len(tables) > 1:
            raise UserError(f"{self.dir}: {' and '.join(tables[:2])} could both be the labels of {part}; remove one")
        if not tables or not len(raw.images):
            return classes, raw
        classes, label, said = label_by(str(self.dir / tables[0]), classes, raw.label, list(raw.images))
        self._say(f"{said}, {int((label >= 0).sum())} labelled in {part}")
        return classes, Raw(raw.images, label, root=self.dir)

    def _nested(self, folders: list[str], inside: list[list[str]]) -> None:
        """Says so where the classes may lie a level deeper, as in 2023/cat and 2024/cat."""
        inner: Counter[str] = Counter()
        for folder, files in zip(folders, inside, strict=True):
            below = (file[len(folder) + 1 :].partition("/") for file in files)
            inner.update({name for name, slash, _ in below if slash})
        shared = sorted(name for name, number in inner.items() if number > 1)
        if shared:
            self._say(f"several classes hold folders called {first(shared)}; the outer folders are the classes")

    def _say(self, sentence: str) -> None:
        self.remarks = [*self.remarks, sentence]

    def _loose(self, folder: str) -> list[str]:
        """The images that lie in a folder itself, links that lead nowhere among them, as below class folders."""
        files = [entry.name for entry in os.scandir(self.dir / folder) if not entry.is_dir()]
        return images_among(str(self.dir / folder), files, f"{folder}/" if folder else "", self._left)

    def _raw(self, labelled: list[list[str]], more: list[str]) -> Raw:
        label = np.repeat(np.arange(len(labelled)), [len(files) for files in labelled])
        images = [file for files in labelled for file in files] + more
        return Raw(images, np.concatenate([label, np.full(len(more), -1)]).astype(np.int64), root=self.dir)


def _named(root: Path, folders: list[str]) -> dict[str, str]:
    """Class -> folder; a class is called the same however the disk writes its accents.

    Raises:
        UserError: two folders are then called the same.
    """
    found: dict[str, str] = {}
    for folder in folders:
        if composed(folder) in found:
            raise UserError(
                f"{root} has two folders called {folder!r}, with their accents written in two ways; put their images "
                "into one"
            )
        found[composed(folder)] = folder
    return found
