"""A bright bar in noise: across or down."""

import numpy as np

from sslkit import register
from sslkit.data import Dataset, Raw


@register("dataset")
class Mine(Dataset):
    flip = False  # what must not be done to the images; views that mirror are refused then
    defaults = {"views.weak.flip": False, "views.strong.flip": False}

    def read(self) -> tuple[list[str], Raw, Raw]:
        images = np.random.default_rng(0).integers(0, 200, (300, 8, 8), dtype=np.uint8)
        label = np.arange(300) % 2
        images[label == 0, 3:5] = 255
        images[label == 1, :, 3:5] = 255
        return ["across", "down"], Raw(images[:200], label[:200]), Raw(images[200:], label[200:])
