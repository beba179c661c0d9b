"""Arrow tables of encoded images and labels, a table a file, as parquet files and the hub's package give them.

Each table's numbers are places in its own class names, where it has such, whatever order those of other files have.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
from pyarrow import types

from sslkit.data import Raw
from sslkit.data.columns import GROUP, SPLIT, Columns, as_label, by_split, label_column, said, usual
from sslkit.datasets._layout import kind_of
from sslkit.errors import UserError

IMAGE = ("image", "img", "picture", "photo", "pixel_values")
UNLABELLED = (None, -1)
SCALAR = (types.is_integer, types.is_string, types.is_large_string, types.is_dictionary, types.is_boolean)
SEVERAL = (types.is_list, types.is_large_list)
KINDS = {bool: "true and false", int: "numbers", str: "words"}
Table = tuple[str, Any]  # the file that it is from, and the table


@dataclass(frozen=True)
class Shard:
    """What one file gives."""

    where: str
    images: list[bytes | str]
    labels: list[Any]  # None, or a number, a word, true or false
    names: list[str]  # of the classes that numbers mean; empty where it names none
    groups: list[str]  # empty where there is no such column

    def kinds(self) -> set[type]:
        return {type(label) for label in self.labels if label not in UNLABELLED}


def parts_of(
    train: Sequence[Table], test: Sequence[Table], more: Sequence[Table], where: str, asked: Columns
) -> tuple[list[str], Raw, Raw, list[str]]:
    """Class names, training part, test part, and how the columns were understood.

    Args:
        test: may be empty; then a column `split` of the training part is heeded, where there is one.
        more: images without a label, which come last in the training part.
        where: they come from, for the messages.

    Raises:
        UserError: no column of images, several that may be the labels, other columns in a part or file, labels that
            are no class or several.
    """
    columns, remarks = _columns(train, where, asked, separate=bool(test)), list[str]()
    shards, tested = ([_shard(table, columns) for table in tables] for tables in (train, test))
    added = [_shard(table, Columns(columns.image, "", "", columns.group)) for table in more]
    if columns.split:
        shards, tested, told = _by_split(train, shards, columns.split, where)
        remarks.append(told)
    classes, numbers, test_numbers = _classes(shards, tested, columns.label) if columns.label else ([], [], [])
    if columns.label and classes:
        remarks.append(said(where, columns.label, classes, train[0][1].schema.names))
    label = numbers or [-1] * sum(len(shard.images) for shard in shards)
    raw = _raw([*shards, *added], [*label, *[-1] * sum(len(shard.images) for shard in added)])
    return classes, raw, _raw(tested, test_numbers or [-1] * sum(len(s.images) for s in tested)), remarks


def _columns(train: Sequence[Table], where: str, asked: Columns, *, separate: bool) -> Columns:
    schema = train[0][1].schema
    asked = asked.check(schema.names, where)
    images = [field.name for field in schema if _is_image(field.type)]
    image = asked.image or usual(images, IMAGE) or next(iter(images), "")
    if image not in images:
        what = f"column {image!r} holds no images" if image else f"no column of images in {schema.names}"
        raise UserError(f"{where}: {what}")
    if len(images) > 1 and not asked.image and not usual(images, IMAGE):
        several = ", ".join(images)
        raise UserError(f"{where}: which of the columns has the images: {several}? --set data.image={image} says it")
    split = asked.split or ("" if separate else usual(schema.names, SPLIT))
    group = asked.group or usual(schema.names, GROUP)
    rest = [name for name in schema.names if name not in (*images, asked.split or split, group)]
    label = asked.label or label_column(rest, *_distinct(train, rest), where)
    if not label and any(name not in (*images, split, group) for name in schema.names):
        raise UserError(f"{where}: no column of labels (whole numbers or words) in {schema.names}")
    return Columns(image, label, split, group)


def _distinct(tables: Sequence[Table], names: Sequence[str]) -> tuple[dict[str, int], int]:
    """Column -> number of its different values, of those that may be labels; and the number of rows."""
    found: dict[str, int] = {}
    for name in names:
        own = [table[name] for _, table in tables if name in table.column_names]
        if all(any(kind(column.type) for kind in (*SCALAR, *SEVERAL, types.is_null)) for column in own):
            flat = [column.combine_chunks().flatten() if _is_list(column.type) else column for column in own]
            found[name] = len({value for column in flat for value in column.unique().to_pylist()} - {None})
    return found, sum(len(table) for _, table in tables)


def _shard(table: Table, columns: Columns) -> Shard:
    where, rows = table
    for name in (columns.image, columns.label, columns.split, columns.group):
        if name and name not in rows.column_names:
            raise UserError(f"{where} has other columns than the training part: no {name!r}")
    if not _is_image(rows.schema.field(columns.image).type):
        raise UserError(f"{where} has other columns than the training part: {columns.image!r} holds no images")
    files = [file for chunk in rows[columns.image].chunks for file in _files(chunk)]
    labels = _labels(where, rows, columns.label) if columns.label else [None] * len(rows)
    groups = [str(word) for word in rows[columns.group].to_pylist()] if columns.group else []
    return Shard(where, files, labels, _names(rows.schema, columns.label), groups)


def _labels(where: str, table: Any, column: str) -> list[Any]:
    """A label a row, also where they are lists of one."""
    rows = table[column].to_pylist()
    if _is_list(table.schema.field(column).type):
        wrong = next((i for i, row in enumerate(rows) if row is not None and len(row) > 1), None)
        if wrong is not None:
            raise UserError(f"{where}: row {wrong} has several labels, {rows[wrong]}; an image has one class here")
        rows = [row[0] if row else None for row in rows]
    labels = [as_label(row, where, column) for row in rows]
    strange = next((label for label in labels if label is not None and type(label) not in KINDS), None)
    if strange is not None:
        raise UserError(f"{where}: column {column!r} holds {strange!r}, which is no class; data.label names another")
    return labels


def _classes(train: list[Shard], test: list[Shard], column: str) -> tuple[list[str], list[int], list[int]]:
    """Class names, and the classes of all rows of each part.

    Numbers are places in the names of the file's metadata, where there are such, else in those of another file; without
    any the classes are the sorted words or numbers of the training part.
    """
    known = [shard for shard in (*train, *test) if shard.kinds()]
    for shard in known[1:]:
        if shard.kinds() != known[0].kinds():
            a, b = (" and ".join(KINDS[kind] for kind in sorted(s.kinds(), key=str)) for s in (known[0], shard))
            raise UserError(f"column {column!r} holds {a} in {known[0].where}, and {b} in {shard.where}")
    whole = [shard for shard in (*train, *test) if shard.names and shard.kinds() <= {int}]
    if whole and all(shard.kinds() <= {int} for shard in known):
        names = [*dict.fromkeys(name for shard in (whole[0], *train) for name in shard.names)]
        place = {name: c for c, name in enumerate(names)}
        keys = [
            {i: place[name] for i, name in enumerate(shard.names or whole[0].names) if name in place}
            for shard in (*train, *test)
        ]
    else:
        values = sorted({value for shard in train for value in shard.labels if value not in UNLABELLED})
        names = [str(value) for value in values]
        keys = [{value: c for c, value in enumerate(values)}] * (len(train) + len(test))
    strange: set[str] = set()
    for shard, key in zip((*train, *test), keys, strict=True):
        strange |= {str(value) for value in {*shard.labels} - key.keys() - {*UNLABELLED}}
    if strange:
        raise UserError(
            f"labels that are no class of the training part: {sorted(strange)[:3]}; classes are {names[:12]}"
        )
    read = [[key.get(v, -1) for v in shard.labels] for shard, key in zip((*train, *test), keys, strict=True)]
    return names, [*chain(*read[: len(train)])], [*chain(*read[len(train) :])]


def _by_split(
    tables: Sequence[Table], shards: Sequence[Shard], column: str, where: str
) -> tuple[list[Shard], list[Shard], str]:
    """What of each file is training, and what test, and a remark."""
    words = [kind_of(str(word)) or str(word) for _, table in tables for word in table[column].to_pylist()]
    train, test, told = by_split(words, column, where)
    ends = np.cumsum([0, *(len(shard.images) for shard in shards)])
    parts: list[list[Shard]] = []
    for rows in (np.array(train, np.int64), np.array(test, np.int64)):
        own = [rows[(rows >= a) & (rows < b)] - a for a, b in pairwise(ends)]
        parts.append([_taken(shard, some.tolist()) for shard, some in zip(shards, own, strict=True)])
    return parts[0], parts[1], told


def _taken(shard: Shard, rows: Sequence[int]) -> Shard:
    groups = [shard.groups[i] for i in rows] if shard.groups else []
    return Shard(shard.where, [shard.images[i] for i in rows], [shard.labels[i] for i in rows], shard.names, groups)


def _raw(shards: Sequence[Shard], label: Sequence[int]) -> Raw:
    groups = [*chain(*(shard.groups for shard in shards))]
    return Raw([*chain(*(shard.images for shard in shards))], np.array(label, np.int64), groups=groups)


def _is_list(kind: Any) -> bool:
    return any(several(kind) for several in SEVERAL)


def _is_image(kind: Any) -> bool:
    if types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _names(schema: Any, label: str) -> list[str]:
    """Class names in the hub's metadata, where there are any."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])
        return [str(name) for name in about["info"]["features"][label]["names"]]
    except (KeyError, TypeError, ValueError):
        return []


def _files(images: Any) -> list[bytes | str]:
    """What each image is opened from: its bytes, else the file that stands beside them; without either it is empty."""
    if not types.is_struct(images.type):
        return [item or b"" for item in images.to_pylist()]
    columns = [images.field(name).to_pylist() for name in ("bytes", "path") if images.type.get_field_index(name) >= 0]
    return [next(filter(None, row), b"") for row in zip(*columns, strict=True)]
