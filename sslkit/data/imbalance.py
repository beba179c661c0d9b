"""Long tails for experiments: of classes that come alike, some are made rare, among the labels and in the pool.

Source: the exponential protocol of Cui et al. 2019, arXiv:1901.05555, for semi-supervised learning as in Kim et al.
2020, DARP, arXiv:2007.08844.
"""

from __future__ import annotations

import re

import numpy as np

from sslkit.config import Data
from sslkit.data import Images
from sslkit.data.image import Array
from sslkit.errors import UserError
from sslkit.randomness import key, permutation

ROUNDING = 1e-6  # so that 15.0 is not cut to 14


def shares(gamma: float, classes: int) -> Array:
    """(C,) |gamma|^(-c / (C - 1)): images of each class as a share of the most frequent one's.

    Args:
        gamma: how many times as many the first class has as the last; negative: as the last has of the first.
    """
    found: Array = np.abs(gamma) ** (-np.arange(classes) / (classes - 1))
    return found if gamma > 0 else found[::-1]


def gammas(text: str) -> tuple[float, float]:
    """Of the labelled images and of the pool, as `data.imbalance` has them."""
    first, _, second = text.partition(":")
    return float(first), float(second or first)


def labels_of_tail(data: Data, counts: list[int]) -> list[int]:
    """Labelled images of every class, where `counts` are asked for before a tail; one at least.

    Raises:
        UserError: they are not as many of each class.
    """
    if not data.imbalance:
        return counts
    if not re.fullmatch(r"\d+/class", data.labels.strip()):
        raise UserError(
            f"data.imbalance={data.imbalance} needs labels as N/class, N of the most frequent class; got {data.labels}"
        )
    share = shares(gammas(data.imbalance)[0], len(counts))
    return [max(1, int(count * s + ROUNDING)) for count, s in zip(counts, share, strict=True)]


def pool_of_tail(images: Images, pool: Array, data: Data, seed: int) -> Array:
    """The images of a pool that are left with a tail: as many as there can be in these proportions, one at least.

    Args:
        pool: (N,) numbers of images; `label` tells their classes.

    Raises:
        UserError: not all of them have a label, or a class has none.
    """
    if not data.imbalance:
        return pool
    label, classes = images.label[pool], len(images.classes)
    if (label < 0).any():
        raise UserError(
            f"data.imbalance={data.imbalance} makes classes of the pool rare by their labels, "
            f"which {int((label < 0).sum())} of its {len(pool)} images lack"
        )
    there = np.bincount(label, minlength=classes)
    if not there.all():
        raise UserError(
            f"data.imbalance: no image of class {images.classes[int(there.argmin())]!r} is left for the pool"
        )
    share = shares(gammas(data.imbalance)[1], classes)
    most = (there / share).min()
    wanted = np.maximum(1, np.floor(most * share + ROUNDING)).astype(int)
    chosen = []
    for c in range(classes):
        mine = np.sort(pool[label == c])
        chosen.append(mine[permutation(key(seed, "split", f"tail.{c}"), len(mine)).numpy()[: wanted[c]]])
    return np.concatenate(chosen)


def said(images: Images, labeled: Array, pool: Array, data: Data) -> list[str]:
    """A sentence on the tails, where there are any."""
    if not data.imbalance:
        return []
    ends = images.classes[0], images.classes[-1]
    found = []
    for what, index in (("labelled", labeled), ("in the pool", pool)):
        counts = np.bincount(images.label[index], minlength=len(images.classes))
        found.append(f"{counts[0]} of {ends[0]!r} to {counts[-1]} of {ends[1]!r} {what} ({len(index)} in all)")
    return [f"long tails are made (data.imbalance={data.imbalance}): {', '.join(found)}; the test part stays as it is"]
