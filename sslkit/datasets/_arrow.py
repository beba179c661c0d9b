"""Columns of an Arrow table: images as they are stored, and labels, parts and groups as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pyarrow import types

from sslkit.data import label_sets
from sslkit.data.csv_files import composed
from sslkit.errors import UserError

LISTS = (types.is_list, types.is_large_list, types.is_fixed_size_list)
BYTES = (types.is_binary, types.is_large_binary)
SCALAR = (
    types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null, types.is_dictionary,
    types.is_string, types.is_large_string, *BYTES,
)  # fmt: skip
LONGEST = 200  # bytes of a word; an image has more, or is no text
LOOKED = 20  # values by which bytes are known as words


def holds_images(columns: Sequence[Any]) -> bool:
    """Whether a column, given of every file that has it, is one of images: bytes that are no words, or a struct."""
    for column in columns:
        if types.is_struct(column.type) and any(field.name == "bytes" for field in column.type):
            return True
        if any(kind(column.type) for kind in BYTES):
            some = column.slice(0, 1000).drop_null()[:LOOKED].to_pylist()
            return not (some and all(len(value) <= LONGEST and _text(value) is not None for value in some))
    return False


def may_be_labels(kind: Any) -> bool:
    """Whether labels can be of that type."""
    kind = kind.value_type if any(test(kind) for test in LISTS) else kind
    return any(test(kind) for test in SCALAR)


def words(column: Any, names: Sequence[str], where: str, called: str, *, several: bool = False) -> list[str]:
    """The values of a column as text, with composed accents and no spaces around; "" where there is none.

    Whole numbers are so whatever type has them; a list of one value is that value.

    Args:
        names: for numbers; empty where they have none.
        several: a row is a set of labels, a list or words with a mark between them.

    Raises:
        UserError: a row has several values that are no set, or one that is no word, number, true or false.
    """
    rows, read = column.to_pylist(), dict[Any, str]()
    if several:
        return _sets(rows, names, where, called)
    wrong = next((i for i, row in enumerate(rows) if isinstance(row, list) and len(row) > 1), None)
    if wrong is not None:
        raise UserError(f"{where}: row {wrong} has several labels, {rows[wrong]}; an image has one class here")
    rows = [(row[0] if row else None) if isinstance(row, list) else row for row in rows]
    strange: Any = next((row for row in rows if isinstance(row, dict | list)), None)
    for value in () if strange else dict.fromkeys(rows):
        if (word := as_text(value)) is None:
            strange = value
            break
        read[value] = names[int(word)] if word.isdecimal() and int(word) < len(names) else word
    if strange is not None:
        shown = "bytes that are no text" if isinstance(strange, bytes) else repr(strange)[:60]
        raise UserError(f"{where}: column {called!r} holds {shown}, which is no class; data.label names another")
    return [read[row] for row in rows]


def _sets(rows: list[Any], names: Sequence[str], where: str, called: str) -> list[str]:
    """Each row as the text of a set of labels."""
    at = lambda some: f"row {some[0]}"  # noqa: E731
    if not any(isinstance(row, list) for row in rows):
        return label_sets.of_cells([as_text(row) or "" for row in rows], f"{where}: column {called!r}", at)
    found = []
    for row in rows:
        told = [as_text(value) or "" for value in row or []]
        told = [names[int(word)] if word.isdecimal() and int(word) < len(names) else word for word in told]
        found.append("" if row is None else label_sets.written(told, f"{where}: column {called!r}"))
    return found


def as_text(value: Any) -> str | None:
    """A scalar as a table in text would have it; None of what is none."""
    if isinstance(value, bytes):
        return _text(value)
    if value is None:
        return ""
    if isinstance(value, str | bool):
        return composed(str(value).strip())
    try:
        return str(int(value)) if int(value) == value else str(value)
    except ValueError:  # NaN
        return ""
    except (TypeError, OverflowError):
        return None


def _text(value: bytes) -> str | None:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return composed(text.strip()) if text.isprintable() or not text else None


def kind_of_labels(kind: Any) -> type:
    """What labels of an Arrow type are: numbers, true and false, or words."""
    kind = kind.value_type if any(test(kind) for test in LISTS) else kind
    kind = kind.value_type if types.is_dictionary(kind) else kind
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return bool if types.is_boolean(kind) else int if number else str


def flat(column: Any) -> Any:
    """A column with what is in its lists."""
    return column.combine_chunks().flatten() if any(test(column.type) for test in LISTS) else column


def groups_of(column: Any) -> list[str]:
    """The values of any column as text; "" where there is none."""
    return [str(value) if (text := as_text(value)) is None else text for value in column.to_pylist()]


def class_names(table: Any, column: str) -> list[str]:
    """Class names in the hub's metadata, where there are any."""
    try:
        about = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"][column]
        while "names" not in about:  # a list of labels
            about = about["feature"]
        return [str(name) for name in about["names"]]
    except (KeyError, TypeError, ValueError):
        return []


def image_files(images: Any) -> list[bytes | str]:
    """What each image is opened from: its bytes, else the file that stands beside them; without either it is empty."""
    if not types.is_struct(images.type):
        return [item or b"" for item in images.to_pylist()]
    names = [name for name in ("bytes", "path") if images.type.get_field_index(name) >= 0]
    columns = ([chunk.field(name).to_pylist() for name in names] for chunk in images.chunks)
    return [next(filter(None, row), b"") for own in columns for row in zip(*own, strict=True)]
