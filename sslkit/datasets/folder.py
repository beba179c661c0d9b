"""Images in folders of one's own, `folder:DIR`: class folders, parts under the usual names, heaps without labels."""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np

from sslkit.data import Dataset, Raw
from sslkit.data.csv_files import class_order
from sslkit.data.label_files import first, label_by
from sslkit.datasets._folders import files_in, images_among
from sslkit.datasets._layout import CAUTIOUS, Part, Tree, holder, part
from sslkit.datasets._places import NAMES, places
from sslkit.datasets._reading import EXPECTED, Reading, reading
from sslkit.errors import UserError
from sslkit.registry import register


@register("dataset")
class Folder(Dataset):
    """Classes are the folders of the training part: by number where all are numbers, else sorted.

    Images beside class folders, and those of folders for unlabelled images, have no label and come behind them in the
    training part; those of `val` come last. A part without class folders is labelled by the table that lies in it, or
    beside it under its name. `train`, `test`, `val` and `unlabeled` name the folders of parts, as `places` reads them;
    what they leave open is read from names and contents.
    """

    argument = "dir"
    defaults = CAUTIOUS

    def __init__(self, *, dir: str, train: str = "", test: str = "", val: str = "", unlabeled: str = "") -> None:
        self.dir = Path(dir).expanduser()
        given = zip(NAMES, (train, test, val, unlabeled), strict=True)
        self.given = {name: text for name, text in given if text}
        self._left: Counter[str] = Counter()  # suffixes of files that are no images
        self._again: list[str] = []  # links to folders that are read elsewhere

    def read(self) -> tuple[list[str], Raw, Raw]:
        if not self.dir.is_dir():
            raise UserError(f"no folder {self.dir}")
        self._left.clear()
        self._again.clear()
        whole = Tree(self.dir)
        around = whole.inner("")
        tree = Tree(self.dir / around)
        given = places(tree, {name: _within(text, around) for name, text in self.given.items()})
        layout = reading(tree, given)
        self.dir = tree.root
        self.remarks = [f"{self.dir}: {layout.found(tree)}"]
        classes, train = self._training(tree, layout)
        test = self._part(tree, layout.test, classes) if layout.test else self._raw([], [])
        val = self._part(tree, layout.val, classes) if layout.val else self._raw([], [])
        again = [*dict.fromkeys([*whole.again, *tree.again, *self._again])]
        if again:
            self._say(f"links to folders that are read where they lie are not followed: {first(again)}")
        if self._left:
            counts = ", ".join(f"{number} {suffix}" for suffix, number in sorted(self._left.items()))
            self._say(f"left out are files that by their names are no images: {counts}")
        return classes, _followed(train, val), test

    def _training(self, tree: Tree, layout: Reading) -> tuple[list[str], Raw]:
        found = layout.training(tree)
        classes = class_order(found.classes)
        inside, heaps = self._files(found, classes, layout.unlabeled)
        for name, files in zip(classes, inside, strict=True):
            if not files:
                raise UserError(f"{self.dir / found.classes[name][0]} holds no image; remove or fill it")
        self._nested(tree, found)
        raw = self._raw(inside, [*chain(*map(self._loose, found.flat)), *heaps])
        if not len(raw.images):
            raise UserError(f"{self.dir} holds no image to train on; expected {EXPECTED}")
        return (classes, raw) if classes else self._by_table(tree, layout.train, classes, raw)

    def _part(self, tree: Tree, named: tuple[str, ...], classes: list[str]) -> Raw:
        """A part beside the training part."""
        found = part(tree, named, classes)
        loose = [*chain(*map(self._loose, found.flat))]
        where = ", ".join(named)
        if not found.classes:
            return self._by_table(tree, named, classes, self._raw([], loose))[1]
        strange = sorted(found.classes.keys() - {*classes})
        if strange:
            raise UserError(f"{self.dir / where} has classes that the training part has not: {first(strange)}")
        if loose:
            self._say(f"images beside the class folders of {where} are not used: {len(loose)}")
        return self._raw(self._files(found, classes, ())[0], [])

    def _files(self, found: Part, classes: list[str], heaps: tuple[str, ...]) -> tuple[list[list[str]], list[str]]:
        """The images of each class, and those of the heaps."""
        folders = [(folder, c) for c, name in enumerate(classes) for folder in found.classes.get(name, ())]
        folders += [(folder, -1) for folder in heaps]
        labels = [label for _, label in folders]
        files = files_in(self.dir, [folder for folder, _ in folders], self._left, labels, self._again)
        inside: list[list[str]] = [[] for _ in classes]
        for label, some in zip(labels, files, strict=True):
            if label >= 0:
                inside[label] += some
        return inside, [file for label, some in zip(labels, files, strict=True) if label < 0 for file in some]

    def _by_table(self, tree: Tree, named: tuple[str, ...], classes: list[str], raw: Raw) -> tuple[list[str], Raw]:
        """A part without class folders, with the labels of its table; where there is no table, as it is."""
        where = ", ".join(named)
        tables = [table for place in named for table in tree.tables("" if place == "." else place)]
        if len(tables) > 1:
            raise UserError(f"{self.dir}: {' and '.join(tables[:2])} could both be the labels of {where}; remove one")
        if not tables or not len(raw.images):
            return classes, raw
        classes, label, said = label_by(str(self.dir / tables[0]), classes, raw.label, list(raw.images))
        self._say(f"{said}, {int((label >= 0).sum())} labelled in {where}")
        return classes, Raw(raw.images, label, root=self.dir)

    def _nested(self, tree: Tree, found: Part) -> None:
        """Says so where the classes may lie a level deeper in some."""
        inner = [{n for at in folders for n in tree.folders(at) if not holder(n)} for folders in found.classes.values()]
        counts = Counter(name for names in inner for name in names)
        shared = sorted(name for name, number in counts.items() if number > 1)
        if shared:
            self._say(f"several classes hold folders called {first(shared)}; the outer folders are the classes")

    def _say(self, sentence: str) -> None:
        self.remarks = [*self.remarks, sentence]

    def _loose(self, folder: str) -> list[str]:
        """The images that lie in a folder itself, links that lead nowhere among them, as below class folders."""
        files = [entry.name for entry in os.scandir(self.dir / folder) if not entry.is_dir()]
        return images_among(files, f"{folder}/" if folder else "", self._left)

    def _raw(self, labelled: list[list[str]], more: list[str]) -> Raw:
        label = np.repeat(np.arange(len(labelled)), [len(files) for files in labelled])
        images = [file for files in labelled for file in files] + more
        return Raw(images, np.concatenate([label, np.full(len(more), -1)]).astype(np.int64), root=self.dir)


def _within(text: str, around: str) -> str:
    """A place below DIR as it is below the folder that holds all of it."""
    return text.removeprefix(f"{around}/") if around else text


def _followed(train: Raw, val: Raw) -> Raw:
    """The training part with the validation part behind it."""
    if not len(val.images):
        return train
    label = np.concatenate([train.label, val.label])
    held = np.arange(len(label)) >= len(train.images)
    return Raw([*train.images, *val.images], label, root=train.root, val=held)
