"""Labels from a table of names: which image is meant by a row, and which class by its label.

A row that means no image, or several, is an error: none is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sslkit.data import Raw
from sslkit.data.columns import NOBODY, USUAL, Columns, beside, called
from sslkit.data.csv_files import UNLABELLED, class_order
from sslkit.data.image import Array
from sslkit.data.names import NONE, SHOWN, Names
from sslkit.data.tables import Table, read_columns, refuse_several
from sslkit.errors import UserError, listed
from sslkit.store import anywhere

UNUSED = ("split", "group")  # columns that say something of data, but not in a file of labels
NUMBERS = "class numbers"


@dataclass(frozen=True)
class Labelled:
    """What a table says of images."""

    classes: list[str]
    label: Array  # (N,) int64
    said: str  # how it was understood
    column: str  # of the labels; "" where the table has no names of columns


def take_labels(
    file: str,
    classes: list[str],
    train: Raw,
    test: Raw,
    gone: Sequence[str] = (),
    asked: Columns = NOBODY,
    *,
    own: bool = False,
) -> tuple[list[str], Raw, Raw, list[str]]:
    """Classes and both parts with the labels of a table, and a remark.

    Rows name an image as `Names` has it. Images of the training part that no row names have no label; in the validation
    and test part they keep theirs, unless the classes are new. Where there are no classes yet, they are those of the
    file.

    Args:
        gone: names of images that are in no part, because they cannot be read; rows may name them.
        asked: names of the file's columns, where they are said.
        own: the data set is the user's own; where its test has no labels, its classes may be folders that are none.

    Raises:
        UserError: the file cannot be read, rows match no image, an image has several labels, or a class is unknown.
    """
    names = [*train.all_names("train"), *test.all_names("test")]
    held = np.where(train.val, train.label, -1) if len(train.val) else np.full(len(train.images), -1)
    before = np.concatenate([held, test.label, np.full(len(gone), -1)])
    folders = np.concatenate([train.label, before[len(train.images) :]])
    hint = "; --set data.classes=file takes those of the file instead"
    known = folders if own and classes and not (before >= 0).any() else None
    found = label_by(file, classes, before, [*names, *gone], asked, folders=known, hint=hint)
    parts = np.split(found.label, [len(train.images), len(names)])
    lost = int((parts[2] >= 0).sum())
    said = found.said + (f", {lost} of them for images that cannot be read" if lost else "")
    train = replace(train, label=parts[0])
    named = int((train.learned >= 0).sum())
    if not named:
        raise UserError(f"{file} names no image of the training part")
    return (
        found.classes,
        train,
        replace(test, label=parts[1]),
        [f"{said}, {named} labelled in training"],
    )


def label_by(
    file: str,
    classes: list[str],
    label: Array,
    names: Sequence[str],
    asked: Columns = NOBODY,
    *,
    folders: Array | None = None,
    hint: str = "",
) -> Labelled:
    """Classes and labels as the rows of a table say. Rows that say the same of an image count once.

    Args:
        classes: empty where they are those of the table.
        label: (N,) of the images that no row names, -1 where there is none.
        names: (N,)
        folders: (N,) classes of the images by their folders, which may be no classes: those of the table take their
            place where none of its labels is one of them.
        hint: what else can be done where a label is no class.

    Raises:
        UserError: as for `take_labels`.
    """
    images = Names(names)
    table = read_columns(anywhere.place(file), USUAL, UNUSED, asked, lambda cell: images.place(cell) != NONE, classes)
    place = images.match(file, table["path"], table.where)
    if not asked.multilabel:
        refuse_several(table, classes)
    _contradictions(table, place, names)
    anew = folders is not None and _others(table["label"], classes)
    found = class_order({*table["label"]} - {*UNLABELLED}) if anew or not classes else classes
    after = label.astype(np.int64)
    after[place], what = class_numbers(table, found, hint)
    if folders is not None and what == NUMBERS:
        _agree(file, classes, folders[place], after[place])
    unused = " and ".join(name for name in UNUSED if name in table.columns)
    said = f", its column {unused} is not used (csv:FILE as the data would)" if unused else ""
    column = table.names["label"]
    of = f" in {called(column, table.header)}" if column.lower() not in ("", "label") else ""
    of += beside(column, table.header)
    said += f", and not the folders {first(classes)}" if anew else ""
    said += "".join(f"; {remark}" for remark in table.remarks)
    return Labelled(
        found, after, f"{file}: {len(place)} of {len(place)} rows matched, labels are {what}{of}{said}", column
    )


def _others(labels: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether labels and classes have nothing in common: not one name, in any case of letters, and no number."""
    words = {label.casefold() for label in labels} - {*UNLABELLED}
    numbers = {str(c) for c in range(len(classes))}
    return not words & {name.casefold() for name in classes} and not words <= numbers


def _agree(file: str, classes: Sequence[str], before: Array, after: Array) -> None:
    """Refuse numbers that contradict the class folders: they may be of other classes."""
    other = int(((before >= 0) & (after >= 0) & (before != after)).sum())
    if other:
        raise UserError(
            f"{file}: labels are numbers, and {other} of {len(before)} are not the place of their image's folder among "
            f"{first([*classes])}; if the folders are no classes, add --set data.classes=file, else write class names"
        )


def _contradictions(table: Table, place: Array, names: Sequence[str]) -> None:
    """Refuse images to which rows give different labels; all are named."""
    rows: dict[int, list[int]] = {}
    for row, image in enumerate(place.tolist()):
        rows.setdefault(image, []).append(row)
    wrong = []
    for image, own in rows.items():
        told = [f"{table['label'][row]!r} in {table.where(row)}" for row in own]
        if len({table["label"][row] for row in own}) > 1:
            wrong.append(f"{names[image]!r} ({', '.join(told)})")
    if wrong:
        raise UserError(f"{table.file} gives {len(wrong)} images several labels: {listed(wrong, SHOWN)}")


def class_numbers(table: Table, classes: Sequence[str], hint: str = "") -> tuple[Array, str]:
    """(rows,) int64, and how the labels were read: as names where all are, else as places in `classes`.

    Raises:
        UserError: some are neither; names them.
    """
    labels = table["label"]
    none = dict.fromkeys(UNLABELLED, -1)
    names = none | {name: c for c, name in enumerate(classes)}
    numbers = {str(c): c for c in range(len(classes))} | none
    for known, what in ((names, "class names"), (numbers, NUMBERS)):
        if known.keys() >= {*labels}:
            return np.array([known[word] for word in labels], np.int64), what
    strange = sorted({*labels} - names.keys() - numbers.keys()) or sorted({*labels} - names.keys())
    told = [f"{word!r} ({table.rows(i for i, label in enumerate(labels) if label == word)})" for word in strange]
    raise UserError(f"{table.file}: no class is called {listed(told, SHOWN)}; classes are {first([*classes])}{hint}")


def first(words: list[str]) -> str:
    """The first three, for a message."""
    return ", ".join(map(repr, words[:3])) + (", …" if len(words) > 3 else "")
