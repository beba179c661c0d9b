"""Files of a folder that are a part each, as `annotations/labels_train.json`."""

from __future__ import annotations

import re

from sslkit.labelling.entries import Entry
from sslkit.labelling.source import Source


def files_of(source: Source) -> list[Source]:
    """The JSON files of a folder's `annotations`, or of the folder itself; of a file, itself."""
    if not source.is_folder:
        return [source]
    return (source.folder("annotations") or source).inside(".json")


def part_of(source: Source) -> str:
    """`train` of labels_train.json and of instances_train2017.json."""
    return re.sub(r"\d+$", "", source.stem.rpartition("_")[2])


def entry_of(name: str, votes: tuple[tuple[str, ...], ...], part: str, lost: tuple[str, ...] = ()) -> Entry:
    """An entry whose image may lie in a folder that is called as its part."""
    return Entry(name, votes, (f"{part}/{name}",) if part else (), part, lost)
