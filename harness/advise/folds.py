"""Which labelled images are held out together, and which make a smaller set of labels. Seeded, and stratified."""

from __future__ import annotations

import numpy as np

from sslkit.data.image import Array
from sslkit.randomness import key, permutation


def folds(label: Array, most: int, seed: int) -> Array:
    """(n,) int64, the fold in which each image is held out; -1 for the only image of its class, which never is.

    There are as many folds as the largest class has images, at most `most`; of every class each holds as many as the
    others, or one more. With no more images a class than folds each leaves out one of each class, so that no class is
    shorter than the others for it. To leave out single images makes just their class shorter.

    Args:
        label: (n,) int64.
    """
    place = np.full(len(label), -1)
    count = min(most, int(np.bincount(label).max()))
    begin = 0  # where a class has a rest, the next one goes on
    for c in np.unique(label):
        mine = np.flatnonzero(label == c)
        if len(mine) > 1:
            place[_shuffled(mine, seed, f"fold.{c}")] = (begin + np.arange(len(mine))) % count
            begin += len(mine) % count
    return place


def smaller(label: Array, share: float, seed: int) -> Array:
    """(n,) bool, a share of each class, rounded, at least one image."""
    chosen = np.zeros(len(label), bool)
    for c in np.unique(label):
        mine = np.flatnonzero(label == c)
        chosen[_shuffled(mine, seed, f"smaller.{share}.{c}")[: max(1, round(share * len(mine)))]] = True
    return chosen


def _shuffled(index: Array, seed: int, name: str) -> Array:
    order: Array = permutation(key(seed, "advise", name), len(index)).numpy()
    return np.take(index, order)
