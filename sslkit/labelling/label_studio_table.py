"""Label Studio's CSV, TSV and JSON_MIN: a row an annotation. A task that was skipped by all is in none of them.

https://labelstud.io/guide/export
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from sslkit.errors import UserError, one_line
from sslkit.labelling.entries import OTHER, SHAPES, Entry, kinds
from sslkit.labelling.label_studio import chosen, image_key, stored
from sslkit.labelling.source import Source

NAME = "label-studio-table"
TITLE = "Label Studio CSV or JSON_MIN"
OWN = {"annotator", "annotation_id", "created_at", "updated_at", "lead_time"}  # columns of every such file
MORE = {"id", "agreement", "history"}
USUAL = "choice"  # what Label Studio's template for classes calls its control


def knows(source: Source) -> bool:
    if isinstance(source.json, list):
        return bool(source.json) and all(isinstance(one, Mapping) and {*one} >= OWN for one in source.json)
    if source.suffix not in (".csv", ".tsv"):
        return False
    first = source.data.partition(b"\n")[0].decode("utf-8-sig", errors="replace")
    return {*next(csv.reader([first], delimiter=_between(first)), [])} >= OWN


def read(source: Source, image: str, label: str) -> list[Entry]:
    """The tasks in the order of their first rows.

    Args:
        image: column of the images; "" where only one can be.
        label: column of the classes; "" is `choice`, or the only one that is left.

    Raises:
        UserError: no column, or several, may have images or classes.
    """
    rows = source.json if isinstance(source.json, list) else _rows(source)
    key = image_key(rows, image, source.said)
    left = dict[str, int]()
    for row in rows:
        for name, value in row.items():
            if name not in OWN | MORE | {key} and value not in ("", None):
                left[name] = left.get(name, 0) + 1
    control = label or (USUAL if USUAL in left else chosen(left, "", source.said, "columns", "data.label"))
    if label and label not in left:
        raise UserError(f"{source.said}: data.label={label} is none of the columns {', '.join(left)}")
    tasks = dict[str, list[Mapping[str, Any]]]()
    for number, row in enumerate(rows):
        tasks.setdefault(str(row.get("id") or f"row {number}"), []).append(row)
    return [_entry(some, key, control, [name for name in left if name != control]) for some in tasks.values()]


def _rows(source: Source) -> list[dict[str, str]]:
    text = source.text
    try:
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=_between(text.partition("\n")[0])))
    except csv.Error as error:
        raise UserError(f"cannot read {source.said}: {one_line(error)}") from None


def _between(line: str) -> str:
    return "\t" if "\t" in line else ","


def _entry(rows: list[Mapping[str, Any]], key: str, control: str, others: list[str]) -> Entry:
    votes, lost = list[tuple[str, ...]](), list[str]()
    for row in rows:
        classes, other = _classes(row.get(control))
        votes.append(classes)
        lost += other
        lost += [_kind(_parsed(row[name])) for name in others if isinstance(_parsed(row.get(name)), list)]
    *names, name = stored(str(rows[0].get(key) or ""))
    return Entry(name, tuple(votes), tuple(names), lost=kinds(lost))


def _classes(value: Any) -> tuple[tuple[str, ...], list[str]]:
    """A cell is a class, or JSON of {"choices": [...]} or of regions."""
    value = _parsed(value)
    if value in ("", None, []):
        return (), []
    if isinstance(value, Mapping) and isinstance(value.get("choices"), list):
        return tuple(map(str, value["choices"])), []
    if isinstance(value, list | Mapping):
        return (), [_kind(value)]
    return (str(value),), []


def _kind(value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    return SHAPES if any(isinstance(item, Mapping) and {"x", "y"} & {*item} for item in items) else OTHER


def _parsed(cell: Any) -> Any:
    if isinstance(cell, str) and cell[:1] in ("[", "{"):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell
