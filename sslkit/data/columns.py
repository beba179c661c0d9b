"""Which column of a table is what: the one that is named, else that of a usual name, else the only one that can be."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields

from sslkit.data import TEST
from sslkit.data.csv_files import MISSING, NOTHING, UNLABELLED, composed
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
SHOWN = 10  # rows and columns that a message names
PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}  # what a column of parts says
PARTS |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")
ONES, ZEROS = ("1", "1.0", "true"), ("0", "0.0", "false")  # of a column a class, in any case of letters
WHOLE = re.compile(r"(-?\d+)(\.0+)?")  # as pandas writes a whole number where a label is missing, and where none is


@dataclass(frozen=True)
class Columns:
    """Names of columns, "" where nobody named one, or there is none."""

    image: str = ""
    label: str = ""
    split: str = ""
    group: str = ""
    multilabel: bool = False  # an image may have several labels

    def check(self, names: Sequence[str], where: str) -> Columns:
        """With the names as the table has them.

        Raises:
            UserError: the table has no such column, or one is to be images, labels or parts at once.
        """
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "multilabel"}
        made = Columns(
            **{role: _named(role, name, names, where) for role, name in named.items()}, multilabel=self.multilabel
        )
        first: dict[str, str] = {}
        for role in ("image", "label", "split"):
            name = getattr(made, role)
            if name and first.setdefault(name, role) != role:
                raise UserError(f"{where}: data.{first[name]} and data.{role} both name the column {name!r}")
        return made


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


def label_columns(
    names: Sequence[str],
    values: Sequence[Collection[str]],
    rows: int,
    where: str,
    classes: Collection[str] = (),
    *,
    needed: bool = False,
) -> list[int]:
    """Places of the column of labels where nobody named it, or of the columns of 0 and 1, one a class; [] for none.

    Args:
        names: all columns but those with another role.
        values: of each column its different values as text, without those that mean no label; of a column that cannot
            hold labels none.
        rows: of the table.
        classes: that are known; a column that says nothing else has the labels.
        needed: there are labels, and a column that stands alone has them, whatever its name.

    Raises:
        UserError: several can be, and they are listed; or none of several, and one is needed.
    """
    if chosen := usual(names, LABEL):
        return [names.index(chosen)]
    among = [i for i, own in enumerate(values) if own and {*map(composed, own)} <= {*classes}]
    if len(among) == 1:
        return among
    fit = [i for i, own in enumerate(values) if own and not measures(own)]
    lower = {i: {value.lower() for value in values[i]} - {*MISSING} for i in fit}
    hot = [i for i in fit if lower[i] and lower[i] <= {*ONES, *ZEROS}]
    hot = hot if len(hot) > 1 else []
    other = [i for i in fit if i not in hot and names[i].lower() not in NO_LABEL]
    repeat = [i for i in other if 1 < len(values[i]) < rows]
    found = repeat if hot or len(other) > 1 else other
    if len(found) > 1 or (hot and found):
        told = ", ".join(f"{names[i]} ({len(values[i])} values)" for i in found)
        one = ",".join(names[i] for i in hot)
        raise UserError(
            f"{where}: which of the columns has the labels: {told}{f', or {one}, one a class' if hot else ''}? "
            f"--set data.label={one or names[found[0]]} says it"
        )
    if not hot and not found and needed and len(names) > 1:
        raise UserError(f"{where}: which of the columns {[*names]} has the labels? --set data.label=NAME says it")
    if not hot and not found and len(names) == 1 and (needed or names[0].lower() not in NO_LABEL):
        return [0]  # what it holds, if no labels, is said where it is read
    return hot or found


def measures(values: Collection[str]) -> bool:
    """Whether they are numbers of which one is not whole; what programs write for a missing one aside."""
    try:
        return not all(float(value).is_integer() for value in values if value.lower() not in MISSING)
    except (ValueError, OverflowError):
        return False


def check_whole(labels: Collection[str], where: str, column: str) -> None:
    """Raise a UserError where labels are numbers, and one of them is not whole."""
    own = [label for label in labels if label not in UNLABELLED]
    if measures(own):
        seen = next(label for label in own if measures([label]))
        raise UserError(f"{where}: column {column!r} holds {seen}, a measure and no class; data.label names another")


def one_a_row(
    classes: Sequence[str], cells: Sequence[Sequence[str]], where: str, at: Callable[[list[int]], str]
) -> list[str]:
    """Of each row the class whose column has the 1; "" where all cells are empty.

    Args:
        classes: of the columns.
        cells: rows, each with a cell a class.
        at: says where rows with these numbers are.

    Raises:
        UserError: rows have none or several; names them.
    """
    found, wrong = list[str](), list[int]()
    for number, row in enumerate(cells):
        ones = [name for name, cell in zip(classes, row, strict=True) if cell.lower() in ONES]
        if len(ones) != 1 and not all(cell in UNLABELLED or cell.lower() in MISSING for cell in row):
            wrong.append(number)
        found.append(ones[0] if ones else "")
    if wrong:
        raise UserError(
            f"{where}: not exactly one 1 among the columns {listed(classes, SHOWN)} in {at(wrong)} "
            f"({len(wrong)} of {len(cells)} rows); an image has one class here (data.label names the columns)"
        )
    return found


def said(where: str, label: str, classes: Sequence[str], names: Collection[str], used: Collection[str]) -> str:
    """The column that was taken, with its classes, and what is not used.

    Args:
        names: of all columns; `used` are those with another role.
    """
    nothing = [repr(name) for name in classes if name.lower() in MISSING]
    told = f"; {' and '.join(nothing)} is a class, an empty cell is no label" if nothing else ""
    found = f"{len(classes)} classes: {listed(classes, 8)}" if classes else "which holds none"
    own = {label, *label.split(","), *used}
    rest = [name for name in names if name not in own and name.lower() not in (*NO_LABEL, *LABEL)]
    unused = f"; not used: {listed(rest, 8)}" if rest else ""
    return f"{where}: labels are {called(label, names)}, {found}{beside(label, names)}{told}{unused}"


def called(label: str, names: Collection[str]) -> str:
    """The column of labels, or those of several that have one a class."""
    return f"the column {label!r}" if label in names else f"the columns {listed(label.split(','), 8)}, one a class"


def beside(label: str, names: Collection[str]) -> str:
    """Other columns that are called as one of labels."""
    other = [name for name in names if name.lower() in LABEL and name not in (label, *label.split(","))]
    return f"; not {' or '.join(map(repr, other))} (data.label names another)" if other else ""


def no_labels(where: str, names: Collection[str]) -> list[str]:
    """What is said where no column was taken for the labels, though there are some."""
    other = [name for name in names if name.lower() not in NO_LABEL]
    return [f"{where}: no column has labels, of {listed(other, 8)} (data.label names one)"] if other else []


def as_written(labels: Sequence[str]) -> list[str]:
    """Labels of a whole column as they are meant: "1.0" is "1" where all are whole numbers, and words are no numbers.

    So a word that programs write where a value is missing, as R's NA, is no label among numbers.
    """
    shown = {label for label in labels if label not in UNLABELLED and label.lower() not in MISSING}
    whole = {label: match[1] for label in shown if (match := WHOLE.fullmatch(label))}
    if not shown or len(whole) < len(shown):
        return list(labels)
    return [whole.get(label, "" if label.lower() in MISSING else label) for label in labels]


def alone(groups: Sequence[str], names: Sequence[str]) -> list[str]:
    """Groups of images, with that of its own name for an image without any."""
    return [name if group in NOTHING else group for group, name in zip(groups, names, strict=True)]


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
