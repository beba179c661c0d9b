"""Tables in text files, CSV and its kin: named columns, with or without a first line of names."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from sslkit.errors import UserError, one_line

PATH = ("path", "file", "filename", "file_name", "image", "name")
LABEL = ("label", "class")
GROUP = ("group", "patient", "subject")
UNLABELLED = ("", "-1")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet computes


def read_columns(file: Path, known: Mapping[str, Sequence[str]], optional: Sequence[str] = ()) -> dict[str, list[str]]:
    """The columns of a table, without spaces around the cells; separators are comma, semicolon or tab.

    Args:
        known: column -> names that it may have in the first line, in lower case. A line without any of them is
            no line of names. A column that is not named there is the first of the others.
        optional: columns that need not be there.

    Raises:
        UserError: no such file, no text in UTF-8, no row, or a row that is too short.
    """
    try:
        with file.expanduser().open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline()
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
                    columns[column].append(row[i])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else one_line(error)
        raise UserError(f"cannot read {file}: {reason}") from None
    if not any(columns.values()):
        raise UserError(f"{file} holds no row")
    return columns


def plain(text: str) -> str:
    """Without the apostrophe that a table of ours puts before what a spreadsheet would take for a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in FORMULA else text


def _places(
    file: Path, first: list[str], known: Mapping[str, Sequence[str]], optional: Sequence[str]
) -> tuple[dict[str, int], bool]:
    """Column -> its place, and whether the first line names the columns."""
    lower = [cell.lower() for cell in first]
    place = {c: lower.index(name) for c, names in known.items() for name in reversed(names) if name in lower}
    named = bool(place)
    free = [i for i in range(len(first)) if i not in place.values()]
    for column in known:
        if column not in place and column not in optional:
            if not free:
                raise UserError(f"{file} needs the columns {', '.join(known)}; its first line is {','.join(first)!r}")
            place[column] = free.pop(0)
    return place, named
