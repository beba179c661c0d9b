"""Datumaro's JSON, which OTX and Geti write too: `annotations/SUBSET.json` with items and their labels.

https://open-edge-platform.github.io/datumaro/stable/docs/data-formats/formats/datumaro.html
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from sslkit.errors import UserError
from sslkit.labelling.entries import OTHER, SHAPES, Entry, kinds
from sslkit.labelling.parts import files_of
from sslkit.labelling.source import Source

NAME = "datumaro"
TITLE = "Datumaro"


def knows(source: Source) -> bool:
    files = files_of(source)
    return bool(files) and all(_is_datumaro(file.json) for file in files)


def read(source: Source) -> list[Entry]:
    """The items, of a folder those of all files in its `annotations`, whose names are the parts.

    Raises:
        UserError: an item has a label that is not listed.
    """
    files = files_of(source)
    return [entry for file in files for entry in _items(file, file.stem if len(files) > 1 else "")]


def _is_datumaro(content: Any) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get("items"), list) and "categories" in content


def _items(source: Source, part: str) -> list[Entry]:
    content = source.json
    try:
        labels = [str(one["name"]) for one in content["categories"].get("label", {}).get("labels", [])]
        return [_entry(item, labels, part) for item in content["items"]]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"{source.said}: an item lacks, or has a label that is not listed: {error}") from None


def _entry(item: Mapping[str, Any], labels: list[str], part: str) -> Entry:
    given = item.get("annotations") or []
    classes = tuple(labels[one["label_id"]] for one in given if one["type"] == "label")
    others = {one["type"] for one in given} - {"label"}
    lost = [OTHER if kind == "caption" else SHAPES for kind in sorted(others)]
    path = str((item.get("image") or item.get("media") or {}).get("path") or "")
    name = str(item["id"])
    suffix = PurePosixPath(path).suffix
    name += "" if name.endswith(suffix) else suffix
    among = [f"{part}/{name}", f"{part}/{path}"] if part else []  # Datumaro writes the image a/1 as a_1.png
    names = [*among[:1], name, *among[1:], path]
    return Entry(name, (classes,), tuple(n for n in names if n and not n.endswith("/")), part, kinds(lost))
