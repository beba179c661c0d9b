"""Tables in text files, CSV and its kin: named columns, with or without a first line of names."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from sslkit.errors import UserError, one_line

PATH = (
    "path",
    "file",
    "filename",
    "file_name",
    "file_path",
    "image",
    "image_path",
    "image_name",
    "image_id",
    "name",
    "id",
)
LABEL = ("label", "class", "class_name", "category", "target")
GROUP = ("group", "patient", "subject")
UNLABELLED = ("", "-1", "nan", "NaN")  # the last two as pandas writes what is missing among words
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet computes


def read_columns(file: Path, known: Mapping[str, Sequence[str]], optional: Sequence[str] = ()) -> dict[str, list[str]]:
    """The columns of a table, without spaces around the cells; separators are comma, semicolon or tab.

    Accents in the column `label` are composed; paths stay as the disk may have them.

    Args:
        known: column -> names that it may have in the first line, in lower case. A line without any of them is
            no line of names. A column that is not named there is the first of the others.
        optional: columns that need not be there.

    Raises:
        UserError: no such file, no text in UTF-8, no row, or a row that is too short.
    """
    try:
        with file.expanduser().open(encoding=_encoding(file), newline="") as stream:
            line = stream.readline()
            if "\0" in line:  # UTF-16 without a mark
                raise UnicodeError
            stream.seek(0)
            reader = csv.reader(stream, delimiter=max(",;\t", key=line.count))
            rows = ([plain(cell.strip()) for cell in row] for row in reader if any(map(str.strip, row)))
            first = next(rows, [])
            place, named = _places(file, first, known, optional)
            columns: dict[str, list[str]] = {column: [] for column in place}
            for row in chain([] if named else [first], rows):
                if len(row) <= max(place.values()):
                    raise UserError(f"{file}, line {reader.line_num}: too few columns, {len(row)} of {len(first)}")
                for column, i in place.items():
                    columns[column].append(composed(row[i]) if column == "label" else row[i])
    except UnicodeError:
        raise UserError(f"{file} is no text in UTF-8; save it again as such (in Excel: CSV UTF-8)") from None
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else one_line(error)
        raise UserError(f"cannot read {file}: {reason}") from None
    if not any(columns.values()):
        raise UserError(f"{file} holds no row")
    return columns


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
    file: Path, first: list[str], known: Mapping[str, Sequence[str]], optional: Sequence[str]
) -> tuple[dict[str, int], bool]:
    """Column -> its place, and whether the first line names the columns."""
    lower = [cell.lower() for cell in first]
    place = {c: lower.index(name) for c, names in known.items() for name in reversed(names) if name in lower}
    named = bool(place)
    free = [i for i in range(len(first)) if i not in place.values()]
    wanted = [column for column in known if column not in place and column not in optional]
    if named and "label" in wanted and len(free) > len(wanted):
        raise UserError(f"{file}: which of the columns {[first[i] for i in free]} has the labels? Call it label")
    for column in known:
        if column in wanted:
            if not free:
                needed = ", ".join(name for name in known if name not in optional)
                raise UserError(f"{file} needs the columns {needed}; its first line is {','.join(first)!r}")
            place[column] = free.pop(0)
    return place, named


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
