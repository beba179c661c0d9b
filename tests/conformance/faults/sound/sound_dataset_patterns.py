"""Stripes, checks and a smooth slope in colour; some training images have no label."""

import numpy as np

from sslkit import register
from sslkit.data import Dataset, Raw

KINDS = ["stripes", "checks", "slope"]


@register("dataset")
class Patterns(Dataset):
    mean, std = (0.5,) * 3, (0.25,) * 3

    def __init__(self, *, noise: float = 30.0):
        self.noise = noise

    def read(self):
        rng = np.random.default_rng(11)
        (images, label), (test, test_label) = self.part(240, rng), self.part(90, rng)
        label[rng.permutation(240)[:60]] = -1
        return list(KINDS), Raw(images, label), Raw(test, test_label)

    def part(self, n, rng):
        """Images (n, 12, 12, 3) uint8 and labels (n,) int64."""
        label = np.arange(n, dtype=np.int64) % len(KINDS)
        row, column = np.mgrid[:12, :12]
        plain = np.stack([row // 2 % 2, (row // 2 + column // 2) % 2, row / 11])  # (3, 12, 12) in [0, 1]
        colour = rng.uniform(90, 200, (n, 1, 1, 3))
        images = plain[label][..., None] * colour + 25 + rng.normal(0, self.noise, (n, 12, 12, 3))
        return np.clip(np.round(images), 0, 255).astype(np.uint8), label
