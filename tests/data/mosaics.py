"""Images with several labels: 2 x 2 digits or none, of 16 px, with the digits from 0 to 3 that are on it as labels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ["zero", "one", "two", "three"]


def mosaics(folder: Path, n: int) -> np.ndarray:
    """(n, 4) labels, 0 and 1, of images in `folder`, with tables of every form; the last fifth is the test part."""
    digits, draw = load_digits(), np.random.default_rng(0)
    known = digits.target < len(NAMES)
    tiles, label = (digits.images[known] * 15.9).astype(np.uint8), digits.target[known]
    has = np.zeros((n, len(NAMES)), np.int64)
    (folder / "im").mkdir()
    for i in range(n):
        page = np.zeros((2, 8, 2, 8), np.uint8)
        for place in draw.permutation(4)[: draw.integers(0, 4)]:
            k = draw.integers(len(tiles))
            page[place // 2, :, place % 2] = tiles[k]
            has[i, label[k]] = 1
        page[0, 0, 0, :2] = divmod(i, 256)  # no two alike
        Image.fromarray(page.reshape(16, 16)).save(folder / f"im/{i:04d}.png")
    _tables(folder, has)
    return has


def _tables(folder: Path, has: np.ndarray) -> None:
    n = len(has)
    files, part = [f"im/{i:04d}.png" for i in range(n)], ["test" if i >= n - n // 5 else "train" for i in range(n)]
    sets = [[name for name, yes in zip(NAMES, row, strict=True) if yes] for row in has]
    cells = [";".join(labels) or ";" for labels in sets]
    _write(folder / "labels.csv", ["path", "labels", "split"], zip(files, cells, part, strict=True))
    hot = ([file, *map(str, row), where] for file, row, where in zip(files, has.tolist(), part, strict=True))
    _write(folder / "hot.csv", ["path", *NAMES, "split"], hot)
    long = ((file, name, where) for file, s, where in zip(files, sets, part, strict=True) for name in s or [";"])
    _write(folder / "long.csv", ["path", "labels", "split"], long)
    (folder / "p").mkdir()
    images = [{"bytes": (folder / file).read_bytes()} for file in files]
    for name, rows in (("train", slice(0, n - n // 5)), ("test", slice(n - n // 5, n))):
        pq.write_table(pa.table({"image": images[rows], "labels": sets[rows]}), folder / f"p/{name}.parquet")


def _write(path: Path, header: list[str], rows: object) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])  # type: ignore[misc]
