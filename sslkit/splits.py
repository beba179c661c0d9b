"""Who is labelled, who is in the pool, who is the test: stratified, seeded, nested, or listed in files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sslkit.config import Data
from sslkit.data import Array, Images, Raw
from sslkit.datasets._table import LABEL, PATH, UNLABELLED, read_columns
from sslkit.errors import UserError
from sslkit.randomness import key, permutation


@dataclass(frozen=True)
class Split:
    """Indices into `Images`, each int64; an image's place in `labeled` or `pool` is its index in training."""

    labeled: Array
    pool: Array  # shuffled: folder order is class order
    val: Array
    test: Array


def split(images: Images, data: Data, seed: int) -> Split:
    """The split that `data` asks for.

    The labels of one seed are nested: the images of 4/class are among those of 10/class. Images that a file lists are
    labelled, or in the pool, whatever the seed.

    Raises:
        UserError: a class is smaller than asked, no labels, or a request or file that cannot be read.
    """
    if len(images.classes) < 2:
        raise UserError(f"there is only one class, {images.classes[0]!r}; classification needs two")
    train = np.arange(images.train)
    test = np.arange(images.train, len(images.label))
    listed, pooled = check_lists(data, images.label[: images.train])
    if data.tune:
        orders = _by_class(images, train if listed is None else np.setdiff1d(train, listed), seed, "tune")
        test = np.sort(np.concatenate([order[: round(len(order) / 4)] for order in orders]))
        train = np.setdiff1d(train, test)
    if not (images.label[test] >= 0).any():
        raise UserError("the test part has no labels, so nothing can be measured")
    orders = _by_class(images, train if listed is None else listed, seed, "labels")
    counts = _counts(data.labels, [len(order) for order in orders], images.classes, seed)
    held = [_held_out(count, data.val) for count in counts]
    chosen = np.concatenate([order[:count] for order, count in zip(orders, counts, strict=True)])
    val = np.concatenate([o[n - v : n] for o, n, v in zip(orders, counts, held, strict=True)])
    labeled = np.setdiff1d(chosen, val)
    if data.val and not len(val):
        raise UserError(f"data.val={data.val} needs at least two labelled images of some class")
    if pooled is not None:
        train = np.intersect1d(train, pooled)
    pool = np.setdiff1d(train, chosen if data.pool == "complement" else val)
    return Split(_shuffled(labeled, seed, "labeled"), _shuffled(pool, seed, "pool"), val, test)


def _by_class(images: Images, among: Array, seed: int, name: str) -> list[Array]:
    """For each class its images in a seeded order, of which the first n are taken."""
    label = images.label[among]
    return [_shuffled(among[label == c], seed, f"{name}.{c}") for c in range(len(images.classes))]


def _shuffled(index: Array, seed: int, name: str) -> Array:
    order: Array = permutation(key(seed, "split", name), len(index)).numpy()
    return np.take(index, order)


def _held_out(count: int, share: float) -> int:
    return min(max(1, round(share * count)), count - 1) if share else 0


def _counts(labels: str, sizes: list[int], classes: list[str], seed: int) -> list[int]:
    """Labelled images of every class."""
    if labels == "all" or labels.startswith(("index:", "file:")):
        return sizes
    match = re.fullmatch(r"(\d{1,9})/class|(\d{1,3}(?:\.\d{1,9})?)%|(\d{1,9})", labels.strip())
    if not match:
        also = "or name a file as index:FILE.csv or file:FILE.csv"
        raise UserError(f"data.labels must be like 10/class, 40, 1% or all, {also}; got {labels!r}")
    per_class, percent, total = match.groups()
    if percent:
        if not 0 < float(percent) <= 100:
            raise UserError(f"data.labels must be above 0% and at most 100%, got {labels}")
        return [min(size, max(1, round(size * float(percent) / 100))) for size in sizes]
    if per_class:
        counts = [int(per_class)] * len(sizes)
    else:
        share, rest = divmod(int(total), len(sizes))
        first = permutation(key(seed, "split", "rest"), len(sizes))[:rest].tolist()
        counts = [share + (c in first) for c in range(len(sizes))]
    if not sum(counts):
        raise UserError("data.labels asks for 0 labels; semi-supervised learning needs at least one")
    for name, count, size in zip(classes, counts, sizes, strict=True):
        if count > size:
            raise UserError(f"data.labels={labels} wants {count} images of class {name!r}, which has {size}")
    return counts


def check_lists(data: Data, label: Array) -> tuple[Array | None, Array | None]:
    """Positions of the labelled images and of the pool, each int64 and sorted, where `index:FILE.csv` lists them.

    Source: the files of Semi-ViT's official code, one column `Index` of 0-based positions in the training part.

    Args:
        label: (N,) of the training part, -1 where there is none.

    Raises:
        UserError: a file cannot be read, or a position is out of range, listed twice, or of an image without a label.
    """
    labeled, pool = _positions(data.labels, len(label)), _positions(data.pool, len(label))
    if labeled is not None and (label[labeled] < 0).any():
        bare = labeled[label[labeled] < 0]
        raise UserError(f"{data.labels}: {len(bare)} of the listed images have no label, the first at {bare[0]}")
    return labeled, pool


def _positions(text: str, count: int) -> Array | None:
    kind, _, file = text.partition(":")
    if kind != "index":
        return None
    words = read_columns(Path(file), {"index": ("index",)})["index"]
    numbers = [int(word) if word.isdecimal() and len(word) < 19 else -1 for word in words]
    wrong = [word for word, n in zip(words, numbers, strict=True) if not 0 <= n < count]
    if wrong:
        raise UserError(f"{file}: its column Index must hold positions from 0 to {count - 1}, it lists {_first(wrong)}")
    found, times = np.unique(np.array(numbers, np.int64), return_counts=True)
    if len(found) < len(numbers):
        raise UserError(f"{file} lists position {found[times > 1][0]} more than once")
    return found


def take_labels(text: str, classes: list[str], train: Raw, test: Raw) -> tuple[Raw, Raw, list[str]]:
    """Both parts with the labels of `file:FILE.csv`, and a remark; as they are, where `text` names no such file.

    Rows name an image by its path or, where no other has it, by its file name alone. Images of the training part
    that no row names have no label; in the test part they keep theirs.

    Raises:
        UserError: the file cannot be read, rows match no image, an image is named twice, or a class is unknown.
    """
    kind, _, file = text.partition(":")
    if kind != "file":
        return train, test, []
    columns = read_columns(Path(file), {"path": PATH, "label": LABEL})
    names = [raw.name(i, part) for raw, part in ((train, "train"), (test, "test")) for i in range(len(raw.images))]
    place = _matched(file, columns["path"], names)
    label = np.concatenate([np.full(len(train.images), -1), test.label])
    label[place], what = _class_numbers(file, columns["label"], classes)
    named = int((label[: len(train.images)] >= 0).sum())
    if not named:
        raise UserError(f"{file} names no image of the training part")
    remark = f"{file}: {len(place)} of {len(place)} rows matched, labels are {what}, {named} labelled in training"
    parts = np.split(label, [len(train.images)])
    return replace(train, label=parts[0]), replace(test, label=parts[1]), [remark]


def _matched(file: str, rows: list[str], names: Sequence[str]) -> Array:
    """(rows,) int64, the place in `names` of the image that each row names."""
    by_path = {name: i for i, name in enumerate(names)}
    by_file: dict[str, int] = {}
    for i, name in enumerate(names):
        alone = name.rpartition("/")[2]
        by_file[alone] = -1 if alone in by_file else i
    place = np.array([_place(row.replace("\\", "/"), by_path, by_file) for row in rows], np.int64)
    lost = [row for row, i in zip(rows, place, strict=True) if i < 0]
    if lost:
        like = f"names are like {names[0]!r}"
        raise UserError(f"{file}: {len(lost)} of {len(rows)} rows match no image, or several: {_first(lost)}; {like}")
    found, times = np.unique(place, return_counts=True)
    if len(found) < len(place):
        raise UserError(f"{file} names {names[found[times > 1][0]]!r} more than once")
    return place


def _place(row: str, by_path: dict[str, int], by_file: dict[str, int]) -> int:
    """-1 for none. Folders before the path are left out one by one: the row may be an absolute path."""
    parts = row.split("/")
    ends = ("/".join(parts[i:]) for i in range(len(parts)))
    return next((by_path[end] for end in ends if end in by_path), by_file.get(row, -1))


def _class_numbers(file: str, labels: list[str], classes: list[str]) -> tuple[Array, str]:
    """(rows,) int64, and how the labels were read: as names where all are, else as places in `classes`."""
    none = dict.fromkeys(UNLABELLED, -1)
    names = {name: c for c, name in enumerate(classes)} | none
    numbers = {str(c): c for c in range(len(classes))} | none
    for known, what in ((names, "class names"), (numbers, "class numbers")):
        if known.keys() >= {*labels}:
            return np.array([known[word] for word in labels], np.int64), what
    strange = sorted({*labels} - names.keys() - numbers.keys()) or sorted({*labels} - names.keys())
    raise UserError(f"{file}: no class is called {_first(strange)}; classes are {_first(classes)}")


def _first(words: list[str]) -> str:
    """The first three, for a message."""
    return ", ".join(map(repr, words[:3])) + (", …" if len(words) > 3 else "")
