"""Cells of text tables as they are written and read, and the names of classes in them."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable

NOTHING = ("", "nan", "NaN", "<NA>")  # but for the first as pandas writes what is missing among words
UNLABELLED = (*NOTHING, "-1")
MISSING = ("na", "n/a", "#n/a", "null", "none")  # the same by other programs, in lower case, or a class of that name
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet computes


def composed(name: str) -> str:
    """A class or file is called the same however its accents are written: macOS takes them apart."""
    return unicodedata.normalize("NFC", name)


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Rows as a CSV file holds them; `sslkit.data.tables` gives the cells back."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(cell, row) for row in rows)
    return text.getvalue()


def cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in FORMULA else text


def plain(text: str) -> str:
    """Without the apostrophe that `cell` puts before it."""
    return text[1:] if text[:1] == "'" and text[1:2] in FORMULA else text


def class_order(names: Iterable[str]) -> list[str]:
    """Class names in their order: that of numbers where all are whole numbers, else that of their letters."""
    names = sorted(names)
    numbers = all(name.removeprefix("-").isdecimal() and len(name) < 21 for name in names)
    return sorted(names, key=int) if numbers else names
