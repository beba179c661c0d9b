"""Which column of a table is what: the one that is named, else that of a usual name, else the only one that can be."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sslkit.data import TEST
from sslkit.errors import UserError, listed, unknown

PATH = (
    "path", "file", "filename", "file_name", "file_path", "image", "image_path", "image_name", "image_id", "name", "id",
)  # fmt: skip
LABEL = ("label", "labels", "target", "class", "y", "fine_label", "class_name", "category")  # the first wins
SPLIT = ("split",)
GROUP = ("group", "patient", "subject")
NO_LABEL = {*PATH, *SPLIT, *GROUP, "index", "unnamed: 0", "__index_level_0__"}
USUAL = {"path": PATH, "label": LABEL, "split": SPLIT, "group": GROUP}  # of tables in text
WORDS = {"training": "train", "unlabelled": "train", "validation": "val"}  # kinds of folders, as parts of a table
PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}  # what a column of parts says
PARTS |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")
WHOLE = re.compile(r"-?\d+\.0+")  # a whole number as pandas writes it where a label is missing


@dataclass(frozen=True)
class Columns:
    """Names of columns, "" where nobody named one, or there is none."""

    image: str = ""
    label: str = ""
    split: str = ""
    group: str = ""

    def check(self, names: Sequence[str], where: str) -> Columns:
        """With the names as the table has them.

        Raises:
            UserError: the table has no such column.
        """
        return Columns(*(_named(f.name, getattr(self, f.name), names, where) for f in fields(self)))


NOBODY = Columns()  # named any


def _named(role: str, asked: str, names: Sequence[str], where: str) -> str:
    if not asked or asked in names:
        return asked
    if role == "label" and "," in asked:  # columns of 0 and 1, one a class
        return ",".join(_named(role, word.strip(), names, where) for word in asked.split(","))
    found = [name for name in names if name.lower() == asked.lower()]
    if len(found) != 1:
        raise UserError(f"data.{role}: {where}: {unknown('column', asked, names)}")
    return found[0]


def usual(names: Sequence[str], words: Sequence[str]) -> str:
    """The first of the usual names that a column has, as the table writes it."""
    return next((name for word in words for name in names if name.lower() == word), "")


def label_column(names: Sequence[str], distinct: Mapping[str, int], rows: int, where: str) -> str:
    """The column of labels where nobody named it; "" where none can be.

    Args:
        names: all columns but those with another role.
        distinct: column -> number of its different values, of those that are words or whole numbers.
        rows: of the table.

    Raises:
        UserError: several can be; it lists them.
    """
    if chosen := usual(names, LABEL):
        return chosen
    fit = [name for name in names if name in distinct and name.lower() not in NO_LABEL]
    found = [name for name in fit if 1 < distinct[name] < rows] if len(fit) > 1 else fit
    if len(found) > 1:
        listed = ", ".join(f"{name} ({distinct[name]} values)" for name in found)
        raise UserError(f"{where}: which of the columns has the labels: {listed}? --set data.label={found[0]} says it")
    return found[0] if found else ""


def said(where: str, label: str, classes: Sequence[str], names: Collection[str]) -> str:
    """The column that was taken, with its classes, and others that are called as one of labels, too."""
    other = [name for name in names if name.lower() in LABEL and name != label]
    beside = f"; not {' or '.join(map(repr, other))} (data.label names another)" if other else ""
    column = f"the column {label!r}" if label in names else f"the columns {listed(label.split(','), 8)}, one a class"
    return f"{where}: labels are {column}, {len(classes)} classes: {listed(classes, 8)}{beside}"


def as_label(value: Any, where: str, column: str) -> Any:
    """A label as it is meant: 1.0 is 1, and what is not a number is none.

    Raises:
        UserError: it is a number that is not whole.
    """
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    if not value.is_integer():
        raise UserError(f"{where}: column {column!r} holds {value:g}, a measure and no class; data.label names another")
    return int(value)


def whole_numbers(labels: Sequence[str], none: Collection[str]) -> list[str]:
    """Words of a text file: "1.0" is "1" where all labels are such."""
    shown = [label for label in labels if label not in none]
    if not shown or not all(map(WHOLE.fullmatch, shown)):
        return list(labels)
    return [label if label in none else label.partition(".")[0] for label in labels]


def by_split(words: Sequence[str], column: str, where: str) -> tuple[list[int], list[int], str]:
    """Rows of the training part and of the test part, and a remark. Where a row says test, rows of val are not used.

    Raises:
        UserError: a row says something else, or none says train.
    """
    part = [WORDS.get(word.lower(), word.lower()) for word in words]
    strange = sorted({*part} - {"train", *TEST})
    if strange or "train" not in part:
        found = ", ".join(map(repr, strange[:3])) or f"only {part[0]!r}"
        raise UserError(f"{where}: column `{column}` must say train, or test or val, it says {found}")
    test = next((word for word in TEST if word in part), None)
    train, tested = ([i for i, word in enumerate(part) if word == wanted] for wanted in ("train", test))
    left = f", {len(part) - len(train) - len(tested)} not used" if len(part) > len(train) + len(tested) else ""
    return train, tested, f"{where}: {len(part)} rows, {len(train)} in training, {len(tested)} in the test part{left}"
