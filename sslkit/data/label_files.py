"""Labels from a table of names: which image is meant by a row, and which class by its label.

A row that means no image, or several, is an error: none is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sslkit.data import Raw
from sslkit.data.columns import NOBODY, USUAL, Columns
from sslkit.data.csv_files import UNLABELLED, class_order, composed, read_columns, refuse_several
from sslkit.data.image import Array
from sslkit.errors import UserError

UNUSED = ("split", "group")  # columns that say something of data, but not in a file of labels


def take_labels(
    text: str,
    classes: list[str],
    train: Raw,
    test: Raw,
    gone: Sequence[str] = (),
    asked: Columns = NOBODY,
) -> tuple[list[str], Raw, Raw, list[str]]:
    """Classes and both parts with the labels of `file:FILE.csv`, and a remark; as they are, where `text` names none.

    Rows name an image by its path or, where no other has it, by its file name alone, with its suffix or without.
    Images of the training part that no row names have no label; in the validation and test part they keep theirs.
    Where there are no classes yet, they are those of the file.

    Args:
        gone: names of images that are in no part, because they cannot be read; rows may name them.
        asked: names of the file's columns, where they are said.

    Raises:
        UserError: the file cannot be read, rows match no image, an image is named twice, or a class is unknown.
    """
    kind, _, file = text.partition(":")
    if kind != "file":
        return classes, train, test, []
    names = [*train.all_names("train"), *test.all_names("test")]
    own = np.where(train.val, train.label, -1) if len(train.val) else np.full(len(train.images), -1)
    before = np.concatenate([own, test.label, np.full(len(gone), -1)])
    classes, label, said = label_by(file, classes, before, [*names, *gone], asked)
    parts = np.split(label, [len(train.images), len(names)])
    lost = int((parts[2] >= 0).sum())
    said += f", {lost} of them for images that cannot be read" if lost else ""
    train = replace(train, label=parts[0])
    named = int((train.learned >= 0).sum())
    if not named:
        raise UserError(f"{file} names no image of the training part")
    return (
        classes,
        train,
        replace(test, label=parts[1]),
        [f"{said}, {named} labelled in training"],
    )


def label_by(
    file: str, classes: list[str], label: Array, names: Sequence[str], asked: Columns = NOBODY
) -> tuple[list[str], Array, str]:
    """Classes, labels (N,) int64 as the rows of a table say, and how it was understood.

    Args:
        classes: empty where they are those of the table.
        label: (N,) of the images that no row names.
        names: (N,)

    Raises:
        UserError: as for `take_labels`.
    """
    table = read_columns(Path(file), USUAL, optional=UNUSED, asked=asked)
    columns = table.columns
    place = match_rows(file, columns["path"], names)
    refuse_several(file, columns["path"], columns["label"], classes)
    classes = classes or class_order({*columns["label"]} - {*UNLABELLED})
    label = label.astype(np.int64)
    label[place], what = class_numbers(file, columns["label"], classes)
    unused = " and ".join(name for name in UNUSED if name in columns)
    said = f", its column {unused} is not used (csv:FILE as the data would)" if unused else ""
    of = f" in the column {table.names['label']!r}" if table.names["label"].lower() not in ("", "label") else ""
    return classes, label, f"{file}: {len(place)} of {len(place)} rows matched, labels are {what}{of}{said}"


def match_rows(file: str, rows: list[str], names: Sequence[str]) -> Array:
    """(rows,) int64, the place in `names` of the image that each row names.

    Raises:
        UserError: rows match no image or several, or two rows the same.
    """
    by_path = {composed(name): i for i, name in enumerate(names)}
    by_file: dict[str, int] = {}
    for i, name in enumerate(names):
        alone = composed(name.rpartition("/")[2])
        for key in {alone, alone.rpartition(".")[0] or alone}:
            by_file[key] = -1 if key in by_file else i
    place = np.array([_place(composed(row), by_path, by_file) for row in rows], np.int64)
    lost = [row for row, i in zip(rows, place, strict=True) if i < 0]
    if lost:
        like = f"names are like {names[0]!r}" if names else "there is no image"
        raise UserError(f"{file}: {len(lost)} of {len(rows)} rows match no image, or several: {first(lost)}; {like}")
    found, times = np.unique(place, return_counts=True)
    if len(found) < len(place):
        raise UserError(f"{file} names {names[found[times > 1][0]]!r} more than once")
    return place


def _place(row: str, by_path: dict[str, int], by_file: dict[str, int]) -> int:
    """-1 for none. Folders before the path are left out one by one: the row may be an absolute path.

    A backslash is a letter of a name, as Linux has it, where there is such an image, else the slash of Windows.
    """
    for path in dict.fromkeys((row, row.replace("\\", "/"))):
        parts = path.split("/")
        ends = ("/".join(parts[i:]) for i in range(len(parts)))
        found = next((by_path[end] for end in ends if end in by_path), by_file.get(path, -1))
        if found >= 0:
            return found
    return -1


def class_numbers(file: str, labels: list[str], classes: list[str]) -> tuple[Array, str]:
    """(rows,) int64, and how the labels were read: as names where all are, else as places in `classes`.

    Raises:
        UserError: some are neither.
    """
    none = dict.fromkeys(UNLABELLED, -1)
    names = none | {name: c for c, name in enumerate(classes)}
    numbers = {str(c): c for c in range(len(classes))} | none
    for known, what in ((names, "class names"), (numbers, "class numbers")):
        if known.keys() >= {*labels}:
            return np.array([known[word] for word in labels], np.int64), what
    strange = sorted({*labels} - names.keys() - numbers.keys()) or sorted({*labels} - names.keys())
    raise UserError(f"{file}: no class is called {first(strange)}; classes are {first(classes)}")


def first(words: list[str]) -> str:
    """The first three, for a message."""
    return ", ".join(map(repr, words[:3])) + (", …" if len(words) > 3 else "")
