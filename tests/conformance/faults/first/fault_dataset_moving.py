"""A bright square in one of the four corners, in noise."""

import numpy as np

from sslkit import register
from sslkit.data import Dataset, Raw

NOISE = np.random.default_rng(7)


@register("dataset")
class Corners(Dataset):
    flip = False
    defaults = {"views.weak.flip": False, "views.strong.flip": False}

    def read(self):
        train, test = self._part(240), self._part(80)
        return ["top left", "top right", "bottom left", "bottom right"], train, test

    def _part(self, n):
        label = np.arange(n, dtype=np.int64) % 4
        images = NOISE.integers(0, 160, (n, 8, 8), dtype=np.uint8)
        for image, c in zip(images, label, strict=True):
            y, x = 4 * (c // 2), 4 * (c % 2)
            image[y + 1 : y + 3, x + 1 : x + 3] = 255
        return Raw(images, label)
