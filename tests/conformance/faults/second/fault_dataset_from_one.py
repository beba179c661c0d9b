"""Rings, discs and crosses, grey on grey."""

import numpy as np

from sslkit import register
from sslkit.data import Dataset, Raw

KINDS = ["ring", "disc", "cross"]


@register("dataset")
class Figures(Dataset):
    mean, std = (0.4,) * 3, (0.25,) * 3

    def read(self):
        rng = np.random.default_rng(3)
        label = np.arange(210) % 3
        train = Raw(np.stack([figure(KINDS[c], rng) for c in label]), label)
        images, numbers, names = [], [], []
        for number, kind in enumerate(KINDS, start=1):
            for i in range(30):
                images.append(figure(kind, rng))
                numbers.append(number)
                names.append(f"{number}-{kind}-{i}")
        return KINDS, train, Raw(np.stack(images), np.array(numbers, dtype=np.int64), names)


def figure(kind, rng):
    """(10, 10) uint8."""
    image = rng.integers(20, 120, (10, 10), dtype=np.uint8)
    y, x = np.mgrid[:10, :10] - 4.5
    radius = np.hypot(y, x)
    shape = {"ring": (radius > 2.5) & (radius < 4), "disc": radius < 3, "cross": (abs(y) < 1) | (abs(x) < 1)}[kind]
    image[shape] = rng.integers(180, 250)
    return image
