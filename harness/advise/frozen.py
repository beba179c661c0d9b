"""Methods on frozen features, fitted again and again without the images that they are judged on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sslkit import registry
from sslkit.contracts import Setup
from sslkit.data.image import Array
from sslkit.frozen import OnFeatures
from sslkit.harness.advise.folds import smaller
from sslkit.network import Classifier

ROWS = ("knn", "linear", "label_spreading")  # from the fastest on
SHARES, REPEATS = (0.25, 0.5), 10  # of the labels, in the curve


@dataclass(frozen=True)
class Known:
    """The features that there are, of a network that stays as it is."""

    network: Classifier
    labeled: Tensor  # (n, D) float32
    label: Tensor  # (n,) int64
    pool: Tensor  # (N_u, D)
    classes: int

    def fitted(self, row: str, chosen: Array) -> OnFeatures:
        """A method with its default options, fitted to the chosen (n,) bool labelled images and the pool."""
        some = torch.from_numpy(np.flatnonzero(chosen))
        cls = registry.load("algorithm", row)
        pool = self.pool if "unlabeled" in cls.views else self.pool[:0]
        counts = torch.bincount(self.label[some], minlength=self.classes)
        setup = Setup(self.network, self.network, self.classes, len(some), len(pool), counts, steps=1, decay=0.0)
        method: OnFeatures = cls(setup)
        method.fit(self.labeled[some], self.label[some], pool)
        return method

    @torch.inference_mode()
    def right(self, row: str, chosen: Array, judged: Array) -> Array:
        """(N,) bool, which of the `judged` (n,) bool images are classified correctly, fitted to the `chosen` ones."""
        some = torch.from_numpy(np.flatnonzero(judged))
        guess = self.fitted(row, chosen).classify(self.labeled[some]).argmax(1)
        found: Array = (guess == self.label[some]).numpy()
        return found

    def by_folds(self, row: str, fold: Array) -> Array:
        """(n,) float, 1 where an image is classified correctly without it, 0 where it is not; nan where fold is -1.

        The images of a fold are left out together, and are not in the pool either: no image to come is.
        """
        found = np.full(len(fold), np.nan)
        for number in range(int(fold.max()) + 1):
            out = fold == number
            found[out] = self.right(row, ~out, out)
        return found

    def curve(self, row: str, seed: int) -> Mapping[float, Array]:
        """Labels fitted to -> (n,) share of the times in which an image is classified correctly without it.

        At each of `SHARES` the rest of the labels is judged, `REPEATS` times; shares that come to the same number of
        labels, or leave a single class, are no points.
        """
        label, points = self.label.numpy(), dict[float, Array]()
        for share in SHARES:
            chosen = [smaller(label, share, seed + 1000 * i) for i in range(REPEATS)]
            size = int(chosen[0].sum())
            if size in points or size == len(label):
                continue
            right, times = np.zeros(len(label)), np.zeros(len(label))
            for some in chosen:
                right[~some] += self.right(row, some, ~some)
                times += ~some
            points[size] = np.divide(right, times, out=np.full(len(label), np.nan), where=times > 0)
        return points


def uses_pool(row: str) -> bool:
    """Whether a method on features looks at images without a label."""
    return "unlabeled" in registry.load("algorithm", row).views
