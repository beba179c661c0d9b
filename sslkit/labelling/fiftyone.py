"""FiftyOne's FiftyOneImageClassificationDataset: `labels.json`, of each image its class by name or number, or null.

Images are called without their suffixes. https://docs.voxel51.com/user_guide/export_datasets.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sslkit.errors import UserError
from sslkit.labelling.entries import SHAPES, Entry
from sslkit.labelling.source import Source

NAME = "fiftyone"
TITLE = "FiftyOneImageClassificationDataset"


def knows(source: Source) -> bool:
    file = _file(source)
    return file is not None and isinstance(file.json, Mapping) and {*file.json} == {"classes", "labels"}


def read(source: Source) -> list[Entry]:
    """The images.

    Raises:
        UserError: a number is none of the classes.
    """
    file = _file(source) or source
    classes, labels = file.json["classes"], file.json["labels"]
    if not isinstance(labels, Mapping):
        raise UserError(f"{file.said} names no image, it is of another task")
    return [_entry(str(name), value, classes or [], file.said) for name, value in labels.items()]


def _file(source: Source) -> Source | None:
    """The file itself, or `labels.json` of a folder."""
    if not source.is_folder:
        return source
    return next((file for file in source.inside(".json") if file.path.name == "labels.json"), None)


def _entry(name: str, value: Any, classes: list[str], where: str) -> Entry:
    if isinstance(value, list):  # detections
        return Entry(name, lost=(SHAPES,) if value else ())
    found = value.get("label") if isinstance(value, Mapping) else value
    if isinstance(found, int) and not 0 <= found < len(classes):
        raise UserError(f"{where}: {name} has class {found}, and there are {len(classes)}")
    return Entry(name, () if found is None else ((classes[found] if isinstance(found, int) else str(found),),))
