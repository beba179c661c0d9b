"""Images listed in a table, `csv:FILE`: columns path, label and split (train or test)."""

from collections import Counter
from pathlib import Path

import numpy as np

from sslkit.data import TEST, Dataset, Raw
from sslkit.datasets._table import LABEL, PATH, UNLABELLED, read_columns
from sslkit.errors import UserError
from sslkit.registry import register

COLUMNS = {"path": PATH, "label": LABEL, "split": ("split",)}


@register("dataset")
class Csv(Dataset):
    """Paths are relative to the file. An empty label, or -1, is none. Where a row says test, rows of val are not used.

    Classes are the sorted labels of the training part, in the order of numbers where all are numbers.
    """

    argument = "file"

    def __init__(self, *, file: str) -> None:
        self.file = Path(file).expanduser()

    def read(self) -> tuple[list[str], Raw, Raw]:
        columns = read_columns(self.file, COLUMNS, optional=("split",))
        if "split" not in columns:
            raise UserError(f"{self.file} has no test part; add a column `split` that says train or test in every row")
        if len({*columns["path"]}) < len(columns["path"]):
            twice = next(path for path, n in Counter(columns["path"]).items() if n > 1)
            raise UserError(f"{self.file} lists {twice!r} more than once")
        part = [word.lower() for word in columns["split"]]
        strange = sorted({*part} - {"train", *TEST})
        test = next((word for word in TEST if word in part), None)
        if strange or test is None or "train" not in part:
            found = ", ".join(map(repr, strange[:3])) or f"only {part[0]!r}"
            raise UserError(f"{self.file}: column `split` must say train and test (or val), it says {found}")
        rows = {word: [i for i, said in enumerate(part) if said == word] for word in ("train", test)}
        classes = self._classes(*({columns["label"][i] for i in rows[word]} for word in ("train", test)))
        place = {name: i for i, name in enumerate(classes)} | dict.fromkeys(UNLABELLED, -1)
        return classes, self._raw(columns, rows["train"], place), self._raw(columns, rows[test], place)

    def _classes(self, train: set[str], test: set[str]) -> list[str]:
        known = train - {*UNLABELLED}
        strange = sorted(test - known - {*UNLABELLED})
        if not known:
            raise UserError(f"{self.file}: no row of the training part has a label")
        if strange:
            raise UserError(f"{self.file}: labels of the test part that are no class of the training: {strange[:3]}")
        numbers = all(word.isdecimal() and len(word) < 19 for word in known)
        return sorted(known, key=int) if numbers else sorted(known)

    def _raw(self, columns: dict[str, list[str]], rows: list[int], place: dict[str, int]) -> Raw:
        label = np.array([place[columns["label"][i]] for i in rows], np.int64)
        return Raw([columns["path"][i] for i in rows], label, root=self.file.parent)
