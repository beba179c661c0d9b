"""Images in folders of one's own, `folder:DIR`: class folders, parts under the usual names, heaps without labels."""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np

from sslkit.data import Dataset, Raw
from sslkit.data.columns import NOBODY, Columns
from sslkit.data.csv_files import class_order
from sslkit.data.formats import counted
from sslkit.data.label_files import Labelled, first, label_by
from sslkit.datasets._folders import empty, files_below, files_in, images_among, none_but
from sslkit.datasets._labels_beside import contradicting
from sslkit.datasets._layout import CAUTIOUS, Part, Tree, holder, part
from sslkit.datasets._places import NAMES, places
from sslkit.datasets._reading import EXPECTED, Reading, reading
from sslkit.errors import UserError
from sslkit.registry import register
from sslkit.store import anywhere


@register("dataset")
class Folder(Dataset):
    """Classes are the folders of the training part: by number where all are numbers, else sorted.

    Images beside class folders, and those of folders for unlabelled images, have no label and come behind them in the
    training part; those of `val` come last. A part without class folders is labelled by the table that lies in it, or
    beside it under its name. Where such a table contradicts class folders, `data.classes` says which of them has the
    classes: folders, or file, that of `--labels`. `train`, `test`, `val` and `unlabeled` name the folders of parts, as
    `places` reads them; what they leave open is read from names and contents. `image` and `label` name columns of the
    tables that label parts. Classes that `open_set` names may be of the test part alone.
    """

    argument = "dir"
    defaults = CAUTIOUS

    def __init__(
        self,
        *,
        dir: str,
        train: str = "",
        test: str = "",
        val: str = "",
        unlabeled: str = "",
        classes: str = "",
        image: str = "",
        label: str = "",
        open_set: str = "",
    ) -> None:
        self.dir = anywhere.place(dir)
        self.unknown = {name.strip() for name in open_set.split(",")} - {""}
        given = zip(NAMES, (train, test, val, unlabeled), strict=True)
        self.given = {name: text for name, text in given if text}
        self.classes = classes  # where they are from; "" is not said
        self.asked = Columns(image=image, label=label)
        self._used: list[Path] = []  # tables that labels were taken from
        self._left: Counter[str] = Counter()  # suffixes of files that are no images
        self._again: list[str] = []  # links to folders that are read elsewhere

    def read(self) -> tuple[list[str], Raw, Raw]:
        if not self.dir.is_dir():
            raise UserError(f"no folder {self.dir}")
        anywhere.look_below(self.dir)
        self._left.clear()
        self._used.clear()
        self._again.clear()
        whole = Tree(self.dir)
        around = whole.inner("")
        tree = Tree(self.dir / around)
        given = places(tree, {name: _within(text, around) for name, text in self.given.items()})
        layout = reading(tree, given, by_folders=self.classes in ("", "folders"))
        self.dir = tree.root
        self.remarks = [f"{self.dir}: {layout.found(tree)}"]
        classes, train = self._training(whole, tree, layout)
        classes, test = self._part(tree, layout.test, classes)
        classes, val = self._part(tree, layout.val, classes)
        if self.asked != NOBODY and not self._used:
            raise UserError(
                f"{self.dir}: data.image and data.label name columns, and no table gives labels here; drop them"
            )
        again = [*dict.fromkeys([*whole.again, *tree.again, *self._again])]
        if again:
            self._say(f"links to folders that are read where they lie are not followed: {first(again)}")
        if self._left:
            self._say(f"left out are files that by their names are no images: {counted(self._left)}")
        return classes, _followed(train, val), test

    def _training(self, whole: Tree, tree: Tree, layout: Reading) -> tuple[list[str], Raw]:
        found = layout.training(tree)
        classes = class_order(found.classes)
        inside, heaps = self._files(found, classes, layout.unlabeled)
        for name, files in zip(classes, inside, strict=True):
            if not files:
                own: Counter[str] = Counter()
                files_below(self.dir, found.classes[name][0], own)
                raise empty(self.dir, found.classes[name][0], own)
        self._nested(tree, found)
        raw = self._raw(inside, [*chain(*map(self._loose, found.flat)), *heaps])
        if not len(raw.images):
            raise UserError(f"{self.dir} holds no image to train on{none_but(self._left)}; expected {EXPECTED}")
        at_root = layout.train == (".",)
        if not classes and not at_root:
            return self._by_table(tree, layout.train, classes, raw)
        if self.classes:
            return classes, raw
        tables = [whole.root / table for table in whole.tables("")] if at_root else self._tables(tree, layout.train)
        if not classes:
            return self._of_the_heap(tables, raw)
        return self._in_doubt(tables, classes, raw, alone=len(classes) == 1 and not (layout.test or layout.val))

    def _part(self, tree: Tree, named: tuple[str, ...], classes: list[str]) -> tuple[list[str], Raw]:
        """A part beside the training part, if one is named; its table has the classes where there are none yet."""
        if not named:
            return classes, self._raw([], [])
        found = part(tree, named, classes)
        loose = [*chain(*map(self._loose, found.flat))]
        where = ", ".join(named)
        if not found.classes:
            return self._by_table(tree, named, classes, self._raw([], loose))
        classes = [*classes, *sorted(found.classes.keys() & self.unknown - {*classes})]
        strange = sorted(found.classes.keys() - {*classes})
        if strange:
            open_set = "--open-set takes named ones for unknown"
            raise UserError(
                f"{self.dir / where} has classes that the training part has not: {first(strange)}; {open_set}"
            )
        if loose:
            self._say(f"images beside the class folders of {where} are not used: {len(loose)}")
        return classes, self._raw(self._files(found, classes, ())[0], [])

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

    def _tables(self, tree: Tree, named: tuple[str, ...]) -> list[Path]:
        """The tables of some places; those within each class have none."""
        whole = (place for place in named if not place.startswith("*/"))
        return [self.dir / table for place in whole for table in tree.tables("" if place == "." else place)]

    def _by_table(self, tree: Tree, named: tuple[str, ...], classes: list[str], raw: Raw) -> tuple[list[str], Raw]:
        """A part without class folders, with the labels of its table; where there is no table, as it is."""
        where, tables = ", ".join(named), self._tables(tree, named)
        if len(tables) > 1:
            two = " and ".join(os.path.relpath(table, self.dir) for table in tables[:2])
            raise UserError(f"{self.dir}: {two} could both be the labels of {where}; remove one")
        if not tables or not len(raw.images):
            return classes, raw
        found = label_by(str(tables[0]), classes, raw.label, list(raw.images), self.asked)
        self._used.append(tables[0])
        self._say(f"{found.said}, {int((found.label >= 0).sum())} labelled in {where}")
        return found.classes, Raw(raw.images, found.label, root=self.dir)

    def _of_the_heap(self, tables: list[Path], raw: Raw) -> tuple[list[str], Raw]:
        """Images without any folder, with the labels of the one table among them that has some."""
        found = dict[str, Labelled]()
        for table in tables:
            try:
                found[str(table)] = label_by(str(table), [], raw.label, list(raw.images), self.asked)
            except UserError as error:
                if self.asked != NOBODY:
                    raise
                self._say(f"{table} is not used as labels: {error}")
        if len(found) > 1:
            self._say(f"{' and '.join(found)} could both be labels; --labels file:{next(iter(found))} takes one")
        if len(found) != 1:
            return [], raw
        (only,) = found.values()
        self._used += map(Path, found)
        self._say(f"{only.said}, {int((only.label >= 0).sum())} labelled")
        return only.classes, Raw(raw.images, only.label, root=self.dir)

    def _in_doubt(self, tables: list[Path], classes: list[str], raw: Raw, *, alone: bool) -> tuple[list[str], Raw]:
        """Folders that may be no classes: a table of labels lies in the part, or beside it.

        Args:
            alone: there is one folder, and no other part.

        Raises:
            UserError: the table has other classes, and several folders hold images of more than one of them.
        """
        for table in tables:
            found = contradicting(str(table), classes, raw)
            if found is None:
                self._say(f"{table} is not used; --labels file:{table} takes its labels")
            elif alone:
                self._say(f"{found.said}; {classes[0]} alone is no class")
                return found.classes, Raw(raw.images, found.label, root=self.dir)
            else:
                raise UserError(
                    f"{self.dir}: the folders {first(classes)} and the labels {first(found.classes)} of {table.name} "
                    f"could both be the classes; add --set data.classes=folders, or --labels file:{table}"
                )
        return classes, raw

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
        files = [entry.name for entry in anywhere.scandir(self.dir / folder) if not entry.is_dir()]
        return images_among(str(self.dir / folder), files, f"{folder}/" if folder else "", self._left)

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
