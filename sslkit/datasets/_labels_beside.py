"""Tables of labels that lie in a folder of images, or beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sslkit.data import Raw
from sslkit.data.columns import LABEL, PATH
from sslkit.data.label_files import Labelled, label_by
from sslkit.data.names import NONE, Names
from sslkit.data.tables import read_columns
from sslkit.errors import UserError

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
PERHAPS = (".txt", ".lst", ".json")  # a table where its rows name images of the part


def is_table(file: Path, names: Callable[[], Names]) -> bool:
    """Whether a file that lies where labels do is a table of them: by its suffix, or by what its rows name.

    Args:
        names: the images of the part.
    """
    lower = file.name.lower()
    return lower.endswith(TABLES) or (lower.endswith(PERHAPS) and _names_images(file, names()))


def _names_images(file: Path, names: Names) -> bool:
    try:
        table = read_columns(file, {"path": PATH}, is_image=lambda cell: names.place(cell) != NONE)
    except UserError:
        return False
    return any(names.place(row) != NONE for row in table["path"])


def contradicting(file: str, classes: Sequence[str], raw: Raw) -> Labelled | None:
    """What a table says whose labels are no folders, and differ within a folder; None where the folders may stay.

    The column of labels must have a usual name, or the table none: others tell something else of images.

    Args:
        classes: the folders.
        raw: with the folders as labels.
    """
    names = list(raw.images)
    try:
        found = label_by(file, [], np.full(len(names), -1), names)
    except UserError:  # a table of something else
        return None
    known = {name.casefold() for name in classes}
    usual = found.column == "" or found.column.lower() in LABEL
    both = (found.label >= 0) & (raw.label >= 0)
    pairs = {*zip(raw.label[both].tolist(), found.label[both].tolist(), strict=True)}
    mixed = len(pairs) > len({folder for folder, _ in pairs}) or len(classes) == 1
    return found if usual and mixed and not known & {name.casefold() for name in found.classes} else None
