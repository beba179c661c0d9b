"""Arrow tables of encoded images and labels, a table a file, as parquet files and the hub's package give them.

Each table's numbers are places in its own class names, where it has such, whatever order those of other files have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any

import numpy as np

from sslkit.data import Raw, label_sets
from sslkit.data import columns as rule
from sslkit.data.columns import GROUP, LABEL, SHOWN, SPLIT, Columns, usual
from sslkit.data.csv_files import UNLABELLED, class_order, composed
from sslkit.datasets import _arrow as arrow
from sslkit.datasets._layout import kind_of
from sslkit.errors import UserError, listed

IMAGE = ("image", "img", "picture", "photo", "pixel_values")
KINDS = {bool: "true and false", int: "numbers", str: "words"}
Table = tuple[str, Any]  # the file that it is from, and the table


@dataclass(frozen=True)
class Shard:
    """What one file gives."""

    where: str
    images: list[bytes | str]
    labels: list[str]  # what `UNLABELLED` has is none
    kinds: set[type]  # of the labels as they are stored
    names: list[str]  # of the classes that numbers mean; empty where it names none
    groups: list[str]  # empty where there is no such column


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
    columns, remarks = _columns(train, test, where, asked)
    remarks += _without(columns.label, [*train, *test])
    shards, tested = ([_shard(table, columns) for table in tables] for tables in (train, test))
    added = [_shard(table, Columns(columns.image, "", "", columns.group)) for table in more]
    if columns.split:
        shards, tested, told = _by_split(train, shards, columns.split, where)
        remarks.append(told)
    find = _sets if columns.multilabel else _classes
    classes, numbers, test_numbers = find(shards, tested, columns.label) if columns.label else ([], [], [])
    if columns.label:
        used = [columns.image, columns.split, columns.group]
        shown = label_sets.named(classes) if columns.multilabel else classes
        remarks.append(rule.said(where, columns.label, shown, _names([*train, *test]), used))
    label = numbers or [-1] * sum(len(shard.images) for shard in shards)
    raw = _raw([*shards, *added], [*label, *[-1] * sum(len(shard.images) for shard in added)])
    return classes, raw, _raw(tested, test_numbers or [-1] * sum(len(s.images) for s in tested)), remarks


def _without(label: str, tables: Sequence[Table]) -> list[str]:
    """What is said of files without the column of labels.

    Raises:
        UserError: one has columns that no file with labels has; its labels may be called otherwise.
    """
    wanted = {*([label] if any(label in table.column_names for _, table in tables) else label.split(","))}
    lacking = [(where, table) for where, table in tables if label and not wanted <= {*table.column_names}]
    known = {name for _, table in tables if wanted <= {*table.column_names} for name in table.column_names}
    for where, table in lacking:
        if strange := [name for name in table.column_names if name not in known or name in wanted]:
            raise UserError(
                f"{where} has other columns than the other files: no {label!r}, but {', '.join(map(repr, strange))}"
            )
    return [f"{where} has no column {label!r}: its {len(table)} images have no label" for where, table in lacking]


def _names(tables: Sequence[Table]) -> list[str]:
    """Of all columns that a table has."""
    return [*dict.fromkeys(name for _, table in tables for name in table.column_names)]


def _columns(train: Sequence[Table], test: Sequence[Table], where: str, asked: Columns) -> tuple[Columns, list[str]]:
    """Which column is what, and what is said of a choice that nobody asked for."""
    names = _names([*train, *test])
    asked = asked.check(names, where)
    images = [name for name in names if arrow.holds_images(_chunks([*train, *test], name))]
    image = asked.image or usual(images, IMAGE) or next(iter(images), "")
    if image not in images:
        what = f"column {image!r} holds no images" if image else f"no column of images in {names}"
        raise UserError(f"{where}: {what}; a table of their paths is read as text, csv:FILE")
    if len(images) > 1 and not asked.image and not usual(images, IMAGE):
        several = ", ".join(images)
        raise UserError(f"{where}: which of the columns has the images: {several}? --set data.image={image} says it")
    beside = " or ".join(repr(name) for name in images if name != image)
    remarks = [f"{where}: images are the column {image!r}, not {beside} (data.image names another)"] if beside else []
    split = asked.split or ("" if test else usual(names, SPLIT))
    group = asked.group or usual(names, GROUP)
    masks = [name for name in images if name == image or name.lower() not in LABEL]
    rest = [name for name in names if name not in (*masks, asked.split or split, group)]
    label = asked.label or _label(rest, [*train, *test], where)
    remarks = remarks if label else [*remarks, *rule.no_labels(where, rest)]
    return Columns(image, label, split, group, asked.multilabel), remarks


def _label(names: Sequence[str], tables: Sequence[Table], where: str) -> str:
    """The column of labels, those of several that have one a class with commas between them, or ""."""
    if chosen := usual(names, LABEL):
        return chosen
    values = [_values(tables, name) for name in names]
    place = rule.label_columns(names, values, sum(len(table) for _, table in tables), where)
    return ",".join(names[i] for i in place)


def _chunks(tables: Sequence[Table], name: str) -> list[Any]:
    """The column of that name in each table that has one."""
    return [table[name] for _, table in tables if name in table.column_names]


def _values(tables: Sequence[Table], name: str) -> set[str]:
    """The different values of a column that may be labels, as text; none of another."""
    found = set[str]()
    for where, table in tables:
        if name in table.column_names:
            if not arrow.may_be_labels(table[name].type) or arrow.holds_images([table[name]]):
                return set()
            found |= {*arrow.words(arrow.flat(table[name]).unique(), arrow.class_names(table, name), where, name)}
    return found - {*UNLABELLED}


def _shard(table: Table, columns: Columns) -> Shard:
    where, rows = table
    for name in (columns.image, columns.split, columns.group):
        if name and name not in rows.column_names:
            raise UserError(f"{where} has other columns than the other files: no {name!r}")
    if len(rows) and not arrow.holds_images([rows[columns.image]]):
        raise UserError(f"{where} has other columns than the other files: {columns.image!r} holds no images")
    files = arrow.image_files(rows[columns.image])
    labels, stored = _labels(where, rows, columns.label, columns.multilabel)
    groups = arrow.groups_of(rows[columns.group]) if columns.group else []
    groups = rule.alone(groups, [f"{where}, row {i}" for i in range(len(groups))])
    return Shard(where, files, labels or [""] * len(files), stored, arrow.class_names(rows, columns.label), groups)


def _labels(where: str, rows: Any, column: str, several: bool) -> tuple[list[str], set[type]]:
    """Of each row, and of what kind they are stored; none where the file has no such column."""
    if column in rows.column_names:
        names = arrow.class_names(rows, column) if several else []
        labels = arrow.words(rows[column], names, where, column, several=several)
        kind = str if several else arrow.kind_of_labels(rows[column].type)
        return labels, {kind} if {*labels} - {*UNLABELLED} else set()
    columns = column.split(",")
    if not {*columns} <= {*rows.column_names}:
        return [], set()
    own = [arrow.words(rows[name], [], where, name) for name in columns]
    at = lambda some: f"row{'s' if len(some) > 1 else ''} {listed([*map(str, some)], SHOWN)}"  # noqa: E731
    read = label_sets.of_columns if several else rule.one_a_row
    return read([*map(composed, columns)], [*zip(*own, strict=True)], where, at), {str}


def _sets(train: list[Shard], test: list[Shard], column: str) -> tuple[list[str], list[int], list[int]]:
    """As `_classes`, where labels are sets; those of both parts."""
    read = [[*chain(*(shard.labels for shard in part))] for part in (train, test)]
    names = label_sets.of_parts(read[0], read[1], f"column {column!r}")
    place = {name: c for c, name in enumerate(names)} | dict.fromkeys(UNLABELLED, -1)
    return names, [place[label] for label in read[0]], [place[label] for label in read[1]]


def _classes(train: list[Shard], test: list[Shard], column: str) -> tuple[list[str], list[int], list[int]]:
    """Class names, and the classes of all rows of each part.

    Numbers are places in the names of the file's metadata, where there are such, else in those of another file; without
    any the classes are the words or numbers of the training part, in their order.
    """
    shards = [*train, *test]
    known = [shard for shard in shards if shard.kinds]
    for shard in known[1:]:
        if shard.kinds != known[0].kinds:
            a, b = (" and ".join(KINDS[kind] for kind in sorted(s.kinds, key=str)) for s in (known[0], shard))
            raise UserError(f"column {column!r} holds {a} in {known[0].where}, and {b} in {shard.where}")
    named = next((shard.names for shard in shards if shard.names), [])
    if named and all(shard.kinds <= {int} for shard in known):
        shards = [_by_names(shard, shard.names or named, column) for shard in shards]
        own = named if not any(shard.names for shard in train) else []
        names = [*dict.fromkeys(chain(own, *(shard.names for shard in train)))]
    else:
        flat = rule.as_written([*chain(*(shard.labels for shard in shards))])
        ends = np.cumsum([0, *(len(shard.labels) for shard in shards)])
        shards = [replace(shard, labels=flat[a:b]) for shard, (a, b) in zip(shards, pairwise(ends), strict=True)]
        for shard in shards:
            rule.check_whole(shard.labels, shard.where, column)
        names = class_order({*chain(*(shard.labels for shard in shards[: len(train)]))} - {*UNLABELLED})
    place = {name: c for c, name in enumerate(names)} | dict.fromkeys(UNLABELLED, -1)
    strange = [(shard.where, {*shard.labels} - place.keys()) for shard in shards if not {*shard.labels} <= place.keys()]
    if strange:
        where, labels = strange[0]
        raise UserError(
            f"{where}: labels that are no class of the training part: {sorted(labels)[:3]}; classes are {names[:12]}"
        )
    read = [[place[label] for label in shard.labels] for shard in shards]
    return names, [*chain(*read[: len(train)])], [*chain(*read[len(train) :])]


def _by_names(shard: Shard, names: Sequence[str], column: str) -> Shard:
    """With names for numbers.

    Raises:
        UserError: there are more numbers than names.
    """
    place = {str(c): name for c, name in enumerate(names)} | {none: none for none in UNLABELLED}
    if strange := {*shard.labels} - place.keys():
        raise UserError(
            f"{shard.where}: column {column!r} holds {min(strange)}, and its {len(names)} classes are 0 to "
            f"{len(names) - 1}: {listed(names, 12)}"
        )
    return replace(shard, labels=[place[label] for label in shard.labels])


def _by_split(
    tables: Sequence[Table], shards: Sequence[Shard], column: str, where: str
) -> tuple[list[Shard], list[Shard], str]:
    """What of each file is training, and what test, and a remark."""
    told = [
        word
        for file, table in tables
        for word in arrow.words(table[column], arrow.class_names(table, column), file, column)
    ]
    train, test, remark = rule.by_split([kind_of(word) or word for word in told], column, where)
    ends = np.cumsum([0, *(len(shard.images) for shard in shards)])
    parts: list[list[Shard]] = []
    for rows in (np.array(train, np.int64), np.array(test, np.int64)):
        own = [rows[(rows >= a) & (rows < b)] - a for a, b in pairwise(ends)]
        parts.append([_taken(shard, some.tolist()) for shard, some in zip(shards, own, strict=True)])
    return parts[0], parts[1], remark


def _taken(shard: Shard, rows: Sequence[int]) -> Shard:
    groups = [shard.groups[i] for i in rows] if shard.groups else []
    images, labels = [shard.images[i] for i in rows], [shard.labels[i] for i in rows]
    return replace(shard, images=images, labels=labels, groups=groups)


def _raw(shards: Sequence[Shard], label: Sequence[int]) -> Raw:
    groups = [*chain(*(shard.groups for shard in shards))]
    return Raw([*chain(*(shard.images for shard in shards))], np.array(label, np.int64), groups=groups)
