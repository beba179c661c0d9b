"""Files that hold a table, as rows of text: CSV and its kin, lists between spaces, JSON and JSON lines."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sslkit.data.csv_files import plain
from sslkit.data.formats import suffixes
from sslkit.data.json_tables import json_rows
from sslkit.errors import UserError, one_line
from sslkit.store import anywhere

SAVE = "save it as CSV UTF-8"
KINDS = {  # what a file begins with: what it is, and what to do
    b"\xd0\xcf\x11\xe0": ("an Excel workbook (.xls)", SAVE),
    b"PAR1": ("a parquet file", "--data parquet:FOLDER reads images in such; write a table of labels as CSV"),
    b"ARROW1": ("an Arrow file", "write it as CSV"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"\x93NUMPY": ("a NumPy array", "write it as CSV with the columns path and label"),
    b"\x89HDF": ("an HDF5 file", "write it as CSV with the columns path and label"),
    b"\x80\x04": ("a Python pickle", "write it as CSV"),
    b"\x80\x05": ("a Python pickle", "write it as CSV"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it"),
    b"%PDF": ("a PDF", "write it as CSV"),
    b"<": ("XML or HTML", "write it as CSV with the columns path and label"),
}
BOOKS = {  # a file within the zip: what that is
    "xl/workbook.xml": "an Excel workbook (.xlsx)",
    "xl/workbook.bin": "an Excel workbook (.xlsb)",
    "content.xml": "an OpenDocument table (.ods)",
    "Index/Document.iwa": "a Numbers table",
}
SEPARATOR = re.compile(r'"?sep=(.)"?')  # which some write into the first line for Excel
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


@dataclass(frozen=True)
class Rows:
    """Cells without spaces around them; rows need not be equally long."""

    header: list[str] | None  # names of columns; None where the first row may have them
    cells: list[list[str]]
    at: list[int]
    unit: str  # what `at` counts, "line" or "record"


def read_rows(file: Path) -> Rows:
    """All rows of a file but empty ones.

    Raises:
        UserError: no such file, no table in text, no text in UTF-8.
    """
    text = read_text(file)
    found = json_rows(file, text)
    if found:
        (names, cells), at, unit = found
        return Rows(None if names == numbered(len(names)) else names, cells, at, unit)
    return _spaced(text) or _separated(file, text)


def read_text(file: Path) -> str:
    """The text of a table or list, without the mark of its encoding.

    Raises:
        UserError: as `read_rows`.
    """
    try:
        data = anywhere.place(file).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    _refuse(file, data)
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        if "\0" in text.partition("\n")[0]:  # UTF-16 without a mark
            raise UnicodeError
    except UnicodeError:
        raise UserError(f"{file} is no text in UTF-8; save it again as such (in Excel: CSV UTF-8)") from None
    return text


def numbered(count: int) -> list[str]:
    """What columns without names are called: 1, 2, 3."""
    return [str(i + 1) for i in range(count)]


def _refuse(file: Path, data: bytes) -> None:
    """Say what a file is that is no text."""
    what, advice = next((said for start, said in KINDS.items() if data.lstrip().startswith(start)), ("", ""))
    if data.startswith(b"PK\x03\x04"):
        try:
            inside = {*zipfile.ZipFile(io.BytesIO(data)).namelist()}
        except zipfile.BadZipFile:
            inside = set()
        what = next((name for part, name in BOOKS.items() if part in inside), "a zip archive")
        advice = "unpack it" if what == "a zip archive" else SAVE
    if what:
        raise UserError(f"{file} is {what}, which is not read as a table; {advice}")


def _spaced(text: str) -> Rows | None:
    """A list of paths with, between spaces, a label or several numbers; None where it is none.

    A path may hold spaces where it ends in the suffix of an image.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows = [_halves(line) for _, line in lines]
    first = lines[0][1].split() if lines else []
    header = len(rows) > 1 and rows[0] is None and not re.search(r"[,;\t|]", lines[0][1])
    if not lines or any(row is None for row in rows[header:]):
        return None
    halves = [row for row in rows[header:] if row]
    if not any(_between(suffixes()).fullmatch(line) for _, line in lines) and header:
        return None
    rests = [rest.split() for _, rest in halves]
    apart = len({len(rest) for rest in rests}) == 1 and all(NUMBER.fullmatch(word) for rest in rests for word in rest)
    cells = [[path, *rest] if apart else [path, " ".join(rest)] for (path, _), rest in zip(halves, rests, strict=True)]
    if header and len(first) != len(cells[0]):
        return None
    at = [number for number, _ in lines]
    return Rows(None, [first, *cells] if header else cells, at, "line")


@cache
def _between(ends: tuple[str, ...]) -> re.Pattern[str]:
    """A path that ends as an image's, spaces, and the rest."""
    return re.compile(rf"([^,;\t|\"]*?(?:{'|'.join(map(re.escape, ends))})) +([^\s,;|].*)", re.IGNORECASE)


def _halves(line: str) -> tuple[str, str] | None:
    """A path and the rest of a line."""
    if match := _between(suffixes()).fullmatch(line):
        return match[1], match[2]
    words = line.split()
    if len(words) == 2 and not re.search(r"[,;\t|\"]", line) and not words[1].lower().endswith(suffixes()):
        return words[0], words[1]
    return None


def _separated(file: Path, text: str) -> Rows:
    """Cells between commas, semicolons, tabs or, where the first line has none of these, bars."""
    line = text.lstrip("\r\n").partition("\n")[0]
    said = SEPARATOR.fullmatch(line.strip())
    between = said[1] if said else max(",;\t", key=line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between if between in line else "|")
    cells, at = list[list[str]](), list[int]()
    try:
        for row in reader:
            if any(map(str.strip, row)) and not (said and reader.line_num == 1):
                cells.append([plain(cell.strip()) for cell in row])
                at.append(reader.line_num)
    except csv.Error as error:
        raise UserError(f"cannot read {file}: {one_line(error)}") from None
    return Rows(None, cells, at, "line")
