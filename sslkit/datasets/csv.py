"""Images listed in a table, `csv:FILE`: columns path, perhaps label, and split (train or test)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from sslkit.data import Dataset, Raw, label_sets
from sslkit.data.columns import USUAL, Columns, alone, by_split, no_labels, said
from sslkit.data.csv_files import UNLABELLED, class_order
from sslkit.data.names import SHOWN
from sslkit.data.tables import Table, read_columns, refuse_several
from sslkit.datasets._layout import CAUTIOUS, kind_of
from sslkit.datasets._listed import Files, find_files
from sslkit.errors import UserError, listed
from sslkit.registry import register
from sslkit.store import anywhere


@register("dataset")
class Csv(Dataset):
    """Paths are relative to the file. An empty label, or -1, is none. Where a row says test, rows of val are not used.

    Classes are the labels of the training part, by number where all are numbers, else sorted; without a column of
    labels there are none. Classes that `open_set` names may be of the test part alone. Without a column `split` every
    row is of the training part. A column `group` says which images show the same. Other columns are named by
    `data.image` (of the paths), `data.label`, `data.split` and `data.group`.
    """

    argument = "file"
    defaults = CAUTIOUS

    def __init__(
        self,
        *,
        file: str,
        image: str = "",
        label: str = "",
        split: str = "",
        group: str = "",
        open_set: str = "",
        multilabel: bool = False,
    ) -> None:
        self.file = anywhere.place(file)
        self.unknown = {name.strip() for name in open_set.split(",")} - {""}
        self.asked = Columns(image, label, split, group, multilabel)

    def read(self) -> tuple[list[str], Raw, Raw]:
        files = Files(self.file.parent)
        table = read_columns(self.file, USUAL, ("label", "split", "group"), self.asked, files.has)
        paths, found = find_files(files, table)
        columns = {"label": [""] * len(paths)} | table.columns | {"path": paths}
        rows = _once(table, columns)
        if "label" in table.columns and not self.asked.multilabel:
            refuse_several(table)
        words = [kind_of(word) or word for word in columns.get("split", ["train"] * len(paths))]
        train, test, told = by_split([words[i] for i in rows], table.names.get("split", "split"), str(self.file))
        train, test = [rows[i] for i in train], [rows[i] for i in test]
        classes = self._classes(table, columns["label"], train, test)
        label, used = table.names.get("label", ""), {*table.names.values()}
        shown = label_sets.named(classes) if self.asked.multilabel else classes
        about = [said(str(self.file), label, shown, table.header, used)] if label else []
        if "label" not in table.columns:
            about = no_labels(str(self.file), [name for name in table.header if name not in used])
        what = "add a label to an image's" if self.asked.multilabel else "say of an image what another says"
        more = [f"{len(paths) - len(rows)} rows {what}"] if len(rows) < len(paths) else []
        self.remarks = [told, *about, *(f"{self.file}: {what}" for what in (*table.remarks, *found, *more))]
        place = {name: i for i, name in enumerate(classes)} | dict.fromkeys(UNLABELLED, -1)
        return classes, self._raw(columns, train, place), self._raw(columns, test, place)

    def _classes(self, table: Table, labels: Sequence[str], train: list[int], test: list[int]) -> list[str]:
        """Of the training part; none where no row of the whole table has a label. Sets of labels are of both parts."""
        if self.asked.multilabel:
            return label_sets.of_parts((labels[i] for i in train), (labels[i] for i in test), str(self.file))
        known = {labels[i] for i in train} - {*UNLABELLED}
        last = sorted({labels[i] for i in test} & self.unknown - known)
        strange = [i for i in test if labels[i] not in known and labels[i] not in (*last, *UNLABELLED)]
        if strange and not known:
            raise UserError(f"{self.file}: no row of the training part has a label")
        if strange:
            names = sorted({labels[i] for i in strange})
            raise UserError(
                f"{self.file}: labels of the test part that are no class of the training: {names[:SHOWN]}, "
                f"{table.rows(strange)}; --open-set takes named ones for unknown"
            )
        return [*class_order(known), *last]

    def _raw(self, columns: dict[str, list[str]], rows: list[int], place: dict[str, int]) -> Raw:
        label = np.array([place[columns["label"][i]] for i in rows], np.int64)
        names = [columns["path"][i] for i in rows]
        groups = alone([columns["group"][i] for i in rows], names) if "group" in columns else ()
        return Raw(names, label, root=self.file.parent, groups=groups)


def _once(table: Table, columns: dict[str, list[str]]) -> list[int]:
    """Rows without those that say the same as one before.

    Raises:
        UserError: rows say different things of one image; all are named.
    """
    first: dict[str, int] = {}
    kept, wrong = list[int](), dict[str, list[int]]()
    for i, path in enumerate(columns["path"]):
        before = first.setdefault(os.path.normpath(path), i)
        if before == i:
            kept.append(i)
        elif any(columns[name][i] != columns[name][before] for name in columns if name != "path"):
            wrong.setdefault(path, [before]).append(i)
    if wrong:
        told = [f"{path!r} ({table.rows(rows)})" for path, rows in wrong.items()]
        raise UserError(
            f"{table.file} lists {listed(told, SHOWN)} more than once, with other labels or parts; an image has one "
            "class here"
        )
    return kept
