"""Tables in text files, CSV and its kin: named columns, with or without a first line of names."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslkit.data.columns import NOBODY, Columns, label_column, whole_numbers
from sslkit.errors import UserError, one_line

UNLABELLED = ("", "-1", "nan", "NaN")  # the last two as pandas writes what is missing among words
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet computes


@dataclass(frozen=True)
class Table:
    """Columns by what they are, and what the file calls them; "" where it has no line of names."""

    columns: dict[str, list[str]]
    names: dict[str, str]
    header: list[str]  # the first line, where it names the columns

    def __getitem__(self, column: str) -> list[str]:
        return self.columns[column]


def read_columns(
    file: Path, known: Mapping[str, Sequence[str]], optional: Sequence[str] = (), asked: Columns = NOBODY
) -> Table:
    """The columns of a table, without spaces around the cells; separators are comma, semicolon or tab.

    Accents in the column `label` are composed; paths stay as the disk may have them. Labels that are whole numbers as
    pandas writes them, 1.0, are 1.

    Args:
        known: column -> names that it may have in the first line, in lower case. A line without any of them is
            no line of names. A column that is not named there is the first of the others; that of labels the one of
            them that can be.
        optional: columns that need not be there.
        asked: names that columns do have.

    Raises:
        UserError: no such file, no text in UTF-8, no row, a row that is too short, no column that is asked for, or
            several that may have the labels.
    """
    try:
        with file.expanduser().open(encoding=_encoding(file), newline="") as stream:
            line = stream.readline()
            if "\0" in line:  # UTF-16 without a mark
                raise UnicodeError
            stream.seek(0)
            reader = csv.reader(stream, delimiter=max(",;\t", key=line.count))
            rows = [
                (reader.line_num, [plain(cell.strip()) for cell in row]) for row in reader if any(map(str.strip, row))
            ]
    except UnicodeError:
        raise UserError(f"{file} is no text in UTF-8; save it again as such (in Excel: CSV UTF-8)") from None
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else one_line(error)
        raise UserError(f"cannot read {file}: {reason}") from None
    first = rows[0][1] if rows else []
    asked = asked.check(first, str(file))
    by_role = {"path": asked.image, "label": asked.label, "split": asked.split, "group": asked.group}
    known = {c: (by_role[c].lower(),) if by_role.get(c) else names for c, names in known.items()}
    place, named = _places(file, first, [row for _, row in rows[1:]], known, optional)
    rows = rows[1:] if named else rows
    for number, row in rows:
        if len(row) <= max(place.values()):
            raise UserError(f"{file}, line {number}: too few columns, {len(row)} of {len(first)}")
    if not rows:
        raise UserError(f"{file} holds no row")
    columns = {column: [row[i] for _, row in rows] for column, i in place.items()}
    if "label" in columns:
        columns["label"] = whole_numbers([composed(label) for label in columns["label"]], UNLABELLED)
    return Table(columns, {c: first[i] if named else "" for c, i in place.items()}, first if named else [])


def composed(name: str) -> str:
    """A class or file is called the same however its accents are written: macOS takes them apart."""
    return unicodedata.normalize("NFC", name)


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Rows as a CSV file holds them; `read_columns` gives the cells back."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(cell, row) for row in rows)
    return text.getvalue()


def cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in FORMULA else text


def plain(text: str) -> str:
    """Without the apostrophe that `cell` puts before it."""
    return text[1:] if text[:1] == "'" and text[1:2] in FORMULA else text


def _encoding(file: Path) -> str:
    """UTF-16 where the file is marked so, as Excel writes "Unicode text"; else UTF-8."""
    with file.expanduser().open("rb") as stream:
        return "utf-16" if stream.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _places(
    file: Path,
    first: list[str],
    rows: Sequence[Sequence[str]],
    known: Mapping[str, Sequence[str]],
    optional: Sequence[str],
) -> tuple[dict[str, int], bool]:
    """Column -> its place, and whether the first line names the columns."""
    lower = [cell.lower() for cell in first]
    place = {c: lower.index(name) for c, names in known.items() for name in reversed(names) if name in lower}
    if [*place] == ["label"] and any(row[place["label"] :][:1] == [first[place["label"]]] for row in rows):
        place = {}  # a label that is called so, as y beside n, and no line of names
    named = bool(place)
    free = [i for i in range(len(first)) if i not in place.values()]
    wanted = [column for column in known if column not in place and column not in optional]
    if named and "label" in wanted and len(free) > len(wanted):
        place["label"] = _label_place(file, first, rows, free)
        free.remove(place["label"])
        wanted.remove("label")
    for column in known:
        if column in wanted:
            if not free:
                needed = ", ".join(name for name in known if name not in optional)
                raise UserError(f"{file} needs the columns {needed}; its first line is {','.join(first)!r}")
            place[column] = free.pop(0)
    return place, named


def _label_place(file: Path, first: list[str], rows: Sequence[Sequence[str]], free: list[int]) -> int:
    """The one of several columns whose values can be labels."""
    distinct = {first[i]: len({row[i] for row in rows if len(row) > i} - {*UNLABELLED}) for i in free}
    chosen = label_column([first[i] for i in free], distinct, len(rows), str(file))
    if not chosen:
        listed = [first[i] for i in free]
        raise UserError(f"{file}: which of the columns {listed} has the labels? --set data.label=NAME says it")
    return first.index(chosen)


def class_order(names: Iterable[str]) -> list[str]:
    """Class names in their order: that of numbers where all are whole numbers, else that of their letters."""
    names = sorted(names)
    numbers = all(name.isdecimal() and len(name) < 19 for name in names)
    return sorted(names, key=int) if numbers else names


def refuse_several(file: str | Path, paths: Sequence[str], labels: Sequence[str], classes: Sequence[str] = ()) -> None:
    """Refuse a row that holds several labels.

    It is a cell whose parts, between commas, semicolons or bars, are all labels themselves; between spaces, too, where
    the classes are known or are numbers.

    Raises:
        UserError: there is such a row; names it.
    """
    known = {*classes, *map(str, range(len(classes)))} if classes else {*labels}
    for row, (path, label) in enumerate(zip(paths, labels, strict=True), 1):
        if label in classes:
            continue
        between = r"[|;,\s]+" if classes or re.fullmatch(r"[\d\s]*", label) else r"\s*[|;,]\s*"
        parts = [part for part in re.split(between, label) if part]
        if len(parts) > 1 and known >= {*parts}:
            raise UserError(f"{file}, row {row} ({path!r}): {label!r} is several labels; an image has one class here")
