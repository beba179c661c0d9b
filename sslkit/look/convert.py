"""`sslkit convert`: labels from a file of a labelling tool as a table that `--labels file:` and `csv:` read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sslkit.data.columns import USUAL, Columns
from sslkit.data.csv_files import UNLABELLED, class_order, csv_text
from sslkit.data.names import NONE, SEVERAL, SHOWN, Names
from sslkit.data.tables import read_columns
from sslkit.datasets._folders import files_below
from sslkit.errors import UserError, listed
from sslkit.labelling import FORMATS, TABLE, Asked, exported
from sslkit.labelling.entries import Entry, Settled, settle
from sslkit.store.files import new_file, write_text


@dataclass(frozen=True)
class Wish:
    """How a file is read."""

    form: str = ""  # one of FORMATS or TABLE; "" tells it by its content
    images: Path | None = None  # folder in which every image must be
    onto: Path | None = None  # table whose rows stay, with the new labels in them
    majority: bool = False
    accepted: bool = False  # predictions in CVAT's XML are labels
    columns: Columns = field(default_factory=Columns)


def convert(source: Path, out: Path, wish: Wish) -> dict[str, Any]:
    """Write the table `out`, a row an image, with the columns path, label and, where the file has parts, split.

    Paths are relative to `out` where images are there to be found: in `wish.images`, or in `source` itself if that is a
    folder with images. With `wish.onto` the rows are those of that table, in its order; an image that `source` labels
    has that label, and those that the table lacks come last.

    Returns format, title, images (in the source), rows (in the table), labelled, classes (name -> rows), reasons (why
    -> images) and out; with `onto` also changed, new (labelled for the first time), same and added (rows).

    Raises:
        UserError: as `exported` and `settled`; images are not there, or a name means several; `out` is there.
    """
    new_file(out)
    images = wish.images or (source if source.is_dir() else None)
    files = Names(_files(images)) if images else None
    base = _Base(wish.onto) if wish.onto else None
    names = files if files and files.names else (base.names if base else None)
    form, title, found = _read(source, wish, (lambda name: names.place(name) >= 0) if names else None)
    if images and files and (files.names or wish.images):
        place = files.match(str(source), found.paths, lambda i: f"image {i + 1}")
        _refuse_double(found.paths, place.tolist(), str(source))
        found.paths[:] = [_beside(images / files.names[i], out) for i in place.tolist()]
    header, rows = found.table()
    merged: dict[str, int] = {}
    if base:
        header, rows, merged = base.merged(found, str(source))
    write_text(out, csv_text([header, *rows]))
    labels = Counter(row[1] for row in rows if row[1] not in UNLABELLED)
    told = {"format": form, "title": title, "images": len(found.paths), "rows": len(rows)}
    classes = {name: labels[name] for name in class_order(labels)}
    return told | {"labelled": labels.total(), "classes": classes, "reasons": found.reasons, "out": str(out)} | merged


def _read(source: Path, wish: Wish, has: Callable[[str], bool] | None) -> tuple[str, str, Settled]:
    asked = Asked(wish.columns.image, wish.columns.label, wish.accepted)
    export = exported(source, wish.form, asked)
    if export:
        return export.form, export.title, export.settled(has, majority=wish.majority)
    if source.is_dir():
        raise UserError(f"{source} is no folder that is known; formats are {', '.join([*FORMATS, TABLE])}")
    table = read_columns(source, USUAL, ("split", "group"), wish.columns, has)
    splits = table.columns.get("split", [""] * len(table["path"]))
    entries = [
        Entry(path, ((label,),) if label not in UNLABELLED else (), split=split)
        for path, label, split in zip(table["path"], table["label"], splits, strict=True)
    ]
    return TABLE, "a table", settle(entries, has, majority=wish.majority)


class _Base:
    """The table onto which labels are put."""

    def __init__(self, file: Path) -> None:
        self.table = read_columns(file, USUAL, ("label", "split", "group"))
        self.names = Names(self.table["path"])

    def merged(self, found: Settled, source: str) -> tuple[list[str], list[list[str]], dict[str, int]]:
        """Names of columns, rows, and how many labels are which."""
        columns = {"path": self.table["path"], "label": [""] * len(self.table["path"])} | self.table.columns
        header: list[str] = [name for name in ("path", "label", "split", "group") if name in columns]
        rows = [list(row) for row in zip(*(columns[name] for name in header), strict=True)]
        place = [self.names.place(path) for path in found.paths]
        several = [repr(path) for path, i in zip(found.paths, place, strict=True) if i == SEVERAL]
        if several:
            raise UserError(f"{source}: names that several rows of {self.table.file} have: {listed(several, SHOWN)}")
        _refuse_double(found.paths, place, source)
        counts = dict.fromkeys(("changed", "new", "same", "added"), 0)
        for path, label, i in zip(found.paths, found.labels, place, strict=True):
            if i == NONE:
                rows.append([{"path": path, "label": label, "split": "train"}.get(name, "") for name in header])
                counts["added"] += 1
            elif label:
                before = rows[i][1]
                counts["new" if before in UNLABELLED else "same" if before == label else "changed"] += 1
                rows[i][1] = label
        return header, rows, counts


def _refuse_double(paths: Sequence[str], place: Sequence[int], source: str) -> None:
    counts = Counter(place)
    double = [repr(path) for path, i in zip(paths, place, strict=True) if i != NONE and counts[i] > 1]
    if double:
        raise UserError(f"{source}: different names of one image: {listed(double, SHOWN)}")


def _files(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UserError(f"--images {folder}: there is no such folder")
    return files_below(folder, "")


def _beside(file: Path, out: Path) -> str:
    return Path(os.path.relpath(file, out.parent)).as_posix()
