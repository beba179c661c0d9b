"""Predictions of other networks for the images of a data set, and the files that hold some.

A file is CSV or parquet, as `sslkit predict --all` writes CSV: a column `file`, or `sha256` of files' contents, and a
column for each class, NAME or p(NAME), else a column `class`; or NPZ with `name` or `sha256`, `classes` and `p`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sslkit.data.csv_files import NOTHING, composed, plain
from sslkit.data.image import Array
from sslkit.data.stored import Stored
from sslkit.errors import UserError, listed, one_line
from sslkit.store import anywhere

SHA = "sha256"
Cells = dict[str, list[str]]  # column -> its cells


@dataclass(frozen=True)
class Given:
    """What one network predicts for the N images of a data set: `rows`, or what the stage's network gives."""

    key: str  # tells it from others
    name: str  # for messages
    rows: Array | None = None  # (N, C) float32 probabilities; NaN where there is none
    stage: Path | None = None  # folder of a finished stage
    stored: Stored | None = None  # the images as that network sees them; None: as they are


def read_rows(file: Path, classes: Sequence[str], names: Sequence[str], source: Callable[[int], object]) -> Array:
    """(N, C) float32 probabilities of images with these names, NaN where the file has none.

    Args:
        source: what image i is opened from; where that is a file, its path is a name, too.

    Raises:
        UserError: it cannot be read, has other classes, an image twice, or no prediction of any image.
    """
    try:
        column, keys, p = (_npz if file.suffix.lower() == ".npz" else _table)(file, classes)
    except UserError as error:
        raise UserError(f"predictions in {file}: {error}") from None
    except Exception as error:  # three readers raise what they like
        raise UserError(f"predictions in {file} cannot be read: {one_line(error)}") from None
    place = _hashes(len(names), source) if column == SHA else _names(names, source)
    rows = np.full((len(names), len(classes)), np.nan, np.float32)
    seen: dict[int, str] = {}
    for key, row in zip(keys, p, strict=True):
        i = next((place[word] for word in _spelt(key, file, column) if word in place), None)
        if i is not None and i in seen:
            raise UserError(f"predictions in {file}: image {names[i]} is there twice, as {seen[i]} and {key}")
        if i is not None:
            seen[i], rows[i] = key, row
    if not seen:
        raise UserError(f"predictions in {file} are of no image of this data, the first is called {keys[0]!r}")
    total = rows.sum(1)  # NaN where there is none
    wrong = [names[i] for i in np.flatnonzero((rows < 0).any(1) | (np.abs(total - 1) > 0.01)).tolist()]
    if wrong:
        raise UserError(f"predictions in {file}: rows that are no probabilities, of {listed(wrong, 3)}")
    return np.asarray(rows / total[:, None])


def _spelt(key: str, file: Path, column: str) -> list[str]:
    """How an image may be called: as it is, or by its path from here or from the file's folder."""
    paths = [os.path.abspath(key), os.path.abspath(file.parent / key)] if column != SHA else []
    return [composed(key), *paths]


def _names(names: Sequence[str], source: Callable[[int], object]) -> dict[str, int]:
    found = {composed(name): i for i, name in enumerate(names)}
    for i in range(len(names)):
        opened = source(i)
        if isinstance(opened, str | os.PathLike):
            found[str(opened) if anywhere.is_elsewhere(opened) else os.path.abspath(opened)] = i
    return found


def _hashes(count: int, source: Callable[[int], object]) -> dict[str, int]:
    found: dict[str, int] = {}
    for i in range(count):
        opened = source(i)
        data = anywhere.read(opened) if isinstance(opened, str | os.PathLike) else opened
        if isinstance(data, bytes):
            found[hashlib.sha256(data).hexdigest()] = i
    return found


def _npz(file: Path, classes: Sequence[str]) -> tuple[str, list[str], Array]:
    with np.load(file, allow_pickle=False) as found:
        column = SHA if SHA in found else "name"
        if not {column, "classes", "p"} <= {*found}:
            raise UserError("an NPZ file has the arrays name (or sha256), classes and p")
        keys, names, p = [str(key) for key in found[column]], [str(name) for name in found["classes"]], found["p"]
    _same(names, classes)
    if p.shape != (len(keys), len(names)):
        raise UserError(f"p is {p.shape}; right is ({len(keys)}, {len(names)}), images by classes")
    return column, keys, p[:, [names.index(name) for name in classes]].astype(np.float32)


def _table(file: Path, classes: Sequence[str]) -> tuple[str, list[str], Array]:
    cells = _parquet(file) if file.suffix.lower() == ".parquet" else _csv(file)
    column = next((name for name in (SHA, "file", "path") if name in cells), "")
    if not column:
        raise UserError(f"no column file, path or sha256 among {listed([*cells])}")
    if not cells[column]:
        raise UserError("there is no row in it")
    for spelt in ([f"p({name})" for name in classes], list(classes)):
        if {*spelt} <= {*cells}:
            others = [name for name in cells if name.startswith("p(") and name not in spelt]
            _same([*spelt, *others], spelt)
            return column, cells[column], np.array([[_share(v) for v in cells[n]] for n in spelt], np.float32).T
    if "class" not in cells:
        lacking = [name for name in classes if name not in cells and f"p({name})" not in cells]
        raise UserError(f"no column for class {listed(lacking)}, and no column class")
    strange = sorted({name for name in cells["class"] if name not in NOTHING} - {*classes})
    if strange:
        raise UserError(f"its classes are not those of the data: {listed(strange)}")
    row = {name: np.eye(len(classes), dtype=np.float32)[c] for c, name in enumerate(classes)}
    none = np.full(len(classes), np.nan, np.float32)
    return column, cells[column], np.stack([row.get(name, none) for name in cells["class"]])


def _same(names: Sequence[str], classes: Sequence[str]) -> None:
    if {*names} != {*classes}:
        apart = sorted({*names} ^ {*classes})
        raise UserError(f"its classes are not those of the data: {listed(apart)} {'is' if apart[1:] == [] else 'are'}")


def _share(cell: str) -> float:
    return float("nan") if cell in NOTHING else float(cell)


def _csv(file: Path) -> Cells:
    head, *rows = [[plain(cell) for cell in row] for row in csv.reader(io.StringIO(file.read_text("utf-8-sig"))) if row]
    return {name: [row[i] if i < len(row) else "" for row in rows] for i, name in enumerate(head)}


def _parquet(file: Path) -> Cells:
    import pyarrow.parquet as pq  # slow to import

    table = pq.read_table(file)
    return {n: ["" if v is None else str(v) for v in table[n].to_pylist()] for n in table.column_names}
