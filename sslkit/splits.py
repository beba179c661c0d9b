"""Who is labelled, who is in the pool, who is the test: stratified, seeded, nested."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from sslkit.config import Data
from sslkit.data import Array, Images
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

    The labels of one seed are nested: the images of 4/class are among those of 10/class.

    Raises:
        UserError: a class is smaller than asked, no labels, or a request that cannot be read.
    """
    if len(images.classes) < 2:
        raise UserError(f"there is only one class, {images.classes[0]!r}; classification needs two")
    train = np.arange(images.train)
    test = np.arange(images.train, len(images.label))
    if data.tune:
        hidden = [train[images.label[train] < 0]]
        orders = _by_class(images, train, seed, "tune")
        test = np.concatenate([order[: round(len(order) / 4)] for order in orders])
        train = np.concatenate([*hidden, *(order[round(len(order) / 4) :] for order in orders)])
        test.sort()
        train.sort()
    if not (images.label[test] >= 0).any():
        raise UserError("the test part has no labels, so nothing can be measured")
    orders = _by_class(images, train, seed, "labels")
    counts = _counts(data.labels, [len(order) for order in orders], images.classes, seed)
    held = [_held_out(count, data.val) for count in counts]
    chosen = np.concatenate([order[:count] for order, count in zip(orders, counts, strict=True)])
    val = np.concatenate([o[n - v : n] for o, n, v in zip(orders, counts, held, strict=True)])
    labeled = np.setdiff1d(chosen, val)
    if data.val and not len(val):
        raise UserError(f"data.val={data.val} needs at least two labelled images of some class")
    pool = np.setdiff1d(train, val if data.pool == "all" else chosen)
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
    if labels == "all":
        return sizes
    match = re.fullmatch(r"(\d{1,9})/class|(\d{1,3}(?:\.\d{1,9})?)%|(\d{1,9})", labels.strip())
    if not match:
        raise UserError(f"data.labels must be like 10/class, 40, 1% or all, got {labels!r}")
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
