"""Images listed in a table, `csv:FILE`: columns path, label and split (train or test)."""

from collections import Counter
from pathlib import Path

import numpy as np

from sslkit.data import Dataset, Raw
from sslkit.data.columns import USUAL, Columns, by_split, said
from sslkit.data.csv_files import UNLABELLED, class_order, read_columns, refuse_several
from sslkit.datasets._layout import CAUTIOUS, kind_of
from sslkit.errors import UserError
from sslkit.registry import register


@register("dataset")
class Csv(Dataset):
    """Paths are relative to the file. An empty label, or -1, is none. Where a row says test, rows of val are not used.

    Classes are the labels of the training part, by number where all are numbers, else sorted. Without a column `split`
    every row is of the training part. A column `group` says which images show the same. Other columns are named by
    `data.image` (of the paths), `data.label`, `data.split` and `data.group`.
    """

    argument = "file"
    defaults = CAUTIOUS

    def __init__(self, *, file: str, image: str = "", label: str = "", split: str = "", group: str = "") -> None:
        self.file = Path(file).expanduser()
        self.asked = Columns(image, label, split, group)

    def read(self) -> tuple[list[str], Raw, Raw]:
        table = read_columns(self.file, USUAL, optional=("split", "group"), asked=self.asked)
        paths = [self._slashed(path) for path in table["path"]]
        columns = table.columns | {"path": paths}
        if len({*columns["path"]}) < len(columns["path"]):
            twice = next(path for path, n in Counter(columns["path"]).items() if n > 1)
            raise UserError(f"{self.file} lists {twice!r} more than once; an image has one class here")
        refuse_several(self.file, columns["path"], columns["label"])
        words = [kind_of(word) or word for word in columns.get("split", ["train"] * len(columns["path"]))]
        train, test, told = by_split(words, table.names.get("split", "split"), str(self.file))
        classes = self._classes(*({columns["label"][i] for i in rows} for rows in (train, test)))
        about = [said(str(self.file), table.names["label"], classes, table.header)] if table.header else []
        self.remarks = [told, *about]
        place = {name: i for i, name in enumerate(classes)} | dict.fromkeys(UNLABELLED, -1)
        return classes, self._raw(columns, train, place), self._raw(columns, test, place)

    def _slashed(self, path: str) -> str:
        """With slashes for the backslashes of Windows, unless a file is called so."""
        there = "\\" not in path or (self.file.parent / path).exists()
        return path if there else path.replace("\\", "/")

    def _classes(self, train: set[str], test: set[str]) -> list[str]:
        known = train - {*UNLABELLED}
        strange = sorted(test - known - {*UNLABELLED})
        if not known:
            raise UserError(f"{self.file}: no row of the training part has a label")
        if strange:
            raise UserError(f"{self.file}: labels of the test part that are no class of the training: {strange[:3]}")
        return class_order(known)

    def _raw(self, columns: dict[str, list[str]], rows: list[int], place: dict[str, int]) -> Raw:
        label = np.array([place[columns["label"][i]] for i in rows], np.int64)
        groups = [columns["group"][i] or columns["path"][i] for i in rows] if "group" in columns else ()
        return Raw([columns["path"][i] for i in rows], label, root=self.file.parent, groups=groups)
