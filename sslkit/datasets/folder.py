"""Images in folders of one's own, `folder:DIR`: class folders, parts under the usual names, heaps without labels."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np

from sslkit.data import Dataset, Raw
from sslkit.data.label_files import label_by
from sslkit.datasets._folders import class_names, files_below, images_among
from sslkit.datasets._layout import Layout, innermost, layout_of
from sslkit.datasets._table import class_order
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
            counts = ", ".join(f"{number} {suffix}" for suffix, number in sorted(self._left.items()))
            self._say(f"left out are files that by their names are no images: {counts}")
        return classes, train, test

    def _training(self, layout: Layout) -> tuple[list[str], Raw]:
        folders = {_composed(name): f"{layout.train}/{name}".lstrip("/") for name in layout.classes}
        classes = class_order(folders)
        inside = [files_below(self.dir, folders[name], self._left) for name in classes]
        for name, files in zip(classes, inside, strict=True):
            if not files:
                raise UserError(f"{self.dir / folders[name]} holds no image; remove or fill it")
        heaps = [files_below(self.dir, name, self._left) for name in layout.unlabelled]
        raw = self._raw(inside, sum(heaps, self._loose(layout.train)))
        if not len(raw.images):
            raise UserError(f"{self.dir} holds no image to train on; expected {EXPECTED}")
        return self._by_table(layout.train, classes, raw) if layout.train and not classes else (classes, raw)

    def _test(self, name: str, classes: list[str]) -> Raw:
        folders = {_composed(folder): f"{name}/{folder}" for folder in class_names(self.dir / name)}
        loose = self._loose(name)
        if not folders:
            return self._by_table(name, classes, self._raw([], loose))[1]
        strange = sorted(folders.keys() - {*classes})
        if strange:
            raise UserError(f"{self.dir / name} has classes that the training part has not: {', '.join(strange[:3])}")
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

    def _say(self, sentence: str) -> None:
        self.remarks = [*self.remarks, sentence]

    def _loose(self, folder: str) -> list[str]:
        """The images that lie in a folder itself."""
        files = [entry.name for entry in os.scandir(self.dir / folder) if entry.is_file()]
        return images_among(files, f"{folder}/" if folder else "", self._left)

    def _raw(self, labelled: list[list[str]], more: list[str]) -> Raw:
        label = np.repeat(np.arange(len(labelled)), [len(files) for files in labelled])
        images = [file for files in labelled for file in files] + more
        return Raw(images, np.concatenate([label, np.full(len(more), -1)]).astype(np.int64), root=self.dir)


def _composed(name: str) -> str:
    """A class is called the same however the disk writes its accents."""
    return unicodedata.normalize("NFC", name)
