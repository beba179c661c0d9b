"""Images listed in a table, `csv:FILE`: columns path, label and split (train or test)."""

from collections import Counter
from pathlib import Path

import numpy as np

from sslkit.data import TEST, Dataset, Raw
from sslkit.data.csv_files import GROUP, LABEL, PATH, UNLABELLED, class_order, read_columns, refuse_several
from sslkit.datasets._layout import CAUTIOUS, kind_of
from sslkit.errors import UserError
from sslkit.registry import register

WORDS = {"training": "train", "unlabelled": "train", "test": "test", "validation": "val"}
COLUMNS = {"path": PATH, "label": LABEL, "split": ("split",), "group": GROUP}


@register("dataset")
class Csv(Dataset):
    """Paths are relative to the file. An empty label, or -1, is none. Where a row says test, rows of val are not used.

    Classes are the labels of the training part, by number where all are numbers, else sorted. Without a column `split`
    every row is of the training part. A column `group` says which images show the same.
    """

    argument = "file"
    defaults = CAUTIOUS

    def __init__(self, *, file: str) -> None:
        self.file = Path(file).expanduser()

    def read(self) -> tuple[list[str], Raw, Raw]:
        columns = read_columns(self.file, COLUMNS, optional=("split", "group"))
        columns["path"] = [path.replace("\\", "/") for path in columns["path"]]  # as Windows writes them
        if len({*columns["path"]}) < len(columns["path"]):
            twice = next(path for path, n in Counter(columns["path"]).items() if n > 1)
            raise UserError(f"{self.file} lists {twice!r} more than once; an image has one class here")
        refuse_several(self.file, columns["path"], columns["label"])
        train, test = self._parts(columns.get("split", ["train"] * len(columns["path"])))
        classes = self._classes(*({columns["label"][i] for i in rows} for rows in (train, test)))
        place = {name: i for i, name in enumerate(classes)} | dict.fromkeys(UNLABELLED, -1)
        return classes, self._raw(columns, train, place), self._raw(columns, test, place)

    def _parts(self, said: list[str]) -> tuple[list[int], list[int]]:
        """The rows of the training part and of the test part."""
        part = [WORDS.get(kind_of(word), word.lower()) for word in said]
        strange = sorted({*part} - {"train", *TEST})
        if strange or "train" not in part:
            found = ", ".join(map(repr, strange[:3])) or f"only {part[0]!r}"
            raise UserError(f"{self.file}: column `split` must say train, or test or val, it says {found}")
        test = next((word for word in TEST if word in part), None)
        train, tested = ([i for i, word in enumerate(part) if word == wanted] for wanted in ("train", test))
        left = f", {len(part) - len(train) - len(tested)} not used" if len(part) > len(train) + len(tested) else ""
        self.remarks = [
            f"{self.file}: {len(part)} rows, {len(train)} in training, {len(tested)} in the test part{left}"
        ]
        return train, tested

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
