"""Mean and standard deviation of each channel, by which images are normalised.

The test part is not looked at.
"""

from __future__ import annotations

import numpy as np
import torch

from sslkit import registry
from sslkit.config import Config
from sslkit.config.statistics import Channels, channels
from sslkit.data import Images
from sslkit.data.image import Array

CHUNK, MOST = 500, 5000  # images at once; of images that are decoded on demand no more than this are looked at
FLOOR = 1 / 255  # smallest deviation: one level, so that images of one colour can be divided by it

_measured: dict[str, tuple[Channels, Channels]] = {}  # by fingerprint


def normalization(config: Config, images: Images) -> tuple[Channels, Channels]:
    """Mean and deviation of red, green and blue in [0, 1]: declared by the data set, measured, or as asked."""
    if "/" in config.data.stats:
        return channels(config.data.stats)
    if config.data.stats == "measured":
        if images.fingerprint not in _measured:
            _measured[images.fingerprint] = moments(histogram(images))
        return _measured[images.fingerprint]
    dataset = registry.load("dataset", config.data.name)
    return tuple(dataset.mean), tuple(dataset.std)


def said(config: Config, images: Images) -> str:
    """The sentence about it."""
    mean, std = (", ".join(f"{x:.3f}" for x in values) for values in normalization(config, images))
    why = {
        "measured": "measured on the training images",
        "declared": "not this data set's own; data.stats=measured takes those",
    }
    return f"images are normalised with mean {mean} and std {std}, {why.get(config.data.stats, 'as data.stats says')}"


def histogram(images: Images) -> Array:
    """(3, 256) int64, how often each level is there in the training part: sums that no order of adding changes."""
    step = 1 if isinstance(images.pixels, np.ndarray) else -(-images.train // MOST)
    pixels = images.subset(np.arange(0, images.train, step))
    counts = torch.zeros(3, 256, dtype=torch.int64)
    for start in range(0, len(pixels), CHUNK):
        some = pixels[start : start + CHUNK]
        counts += torch.stack([torch.bincount(some[:, c].flatten().int(), minlength=256) for c in range(3)])
    return counts.numpy()


def moments(histogram: Array) -> tuple[Channels, Channels]:
    """Mean and deviation of each channel in [0, 1], of a histogram (3, 256)."""
    levels = np.arange(256) / 255
    share = histogram / histogram.sum(1, keepdims=True)
    mean = share @ levels
    std = np.sqrt(np.maximum(share @ levels**2 - mean**2, FLOOR**2))
    return _three(mean), _three(std)


def _three(values: Array) -> Channels:
    red, green, blue = (float(x) for x in values)
    return red, green, blue
