"""Which images to label next: uncertain ones, unlike what is labelled and unlike each other."""

from __future__ import annotations

import numpy as np

from sslkit.data.image import Array


def label_next(p: Array, features: Array, labeled: Array, n: int) -> tuple[Array, Array]:
    """Places of at most n images of the pool, in the order of choice, and their scores, which do not rise.

    Each choice is the largest of uncertainty times distance: one minus the margin between the two likeliest classes
    (Scheffer et al. 2001), and the distance to the nearest image that is labelled or was chosen before, as the greedy
    k-center of core sets has it (Sener and Savarese 2018, arXiv:1708.00489). Distances are Euclidean, between
    features of unit length.

    Args:
        p: (N, C) probabilities for the pool.
        features: (N, D) of the pool.
        labeled: (M, D) features of the labelled images.
    """
    top = np.sort(p, 1)[:, -2:]
    uncertain = 1 - (top[:, 1] - top[:, 0])
    x = _unit(features)
    near = np.full(len(x), 2.0)  # the largest distance there is
    for row in _unit(labeled):
        np.minimum(near, _distance(x, row), out=near)
    order: list[int] = []
    scores: list[float] = []
    for _ in range(min(n, len(x))):
        score = uncertain * near
        score[order] = -1.0
        best = int(score.argmax())
        order.append(best)
        scores.append(score[best])
        np.minimum(near, _distance(x, x[best]), out=near)
    return np.array(order, np.int64), np.array(scores)


def _unit(x: Array) -> Array:
    unit: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return unit


def _distance(x: Array, point: Array) -> Array:
    """(N,) of unit rows to a unit point."""
    distance: Array = np.sqrt(np.maximum(2 - 2 * (x @ point), 0))
    return distance
