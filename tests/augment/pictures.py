"""Real images that come with scikit-learn: two photographs in colour, and handwritten digits."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor

from sslkit.randomness import Draw


@cache
def photos(n: int, height: int, width: int) -> Tensor:
    """(n, 3, height, width) uint8: pieces of photographs, of many sizes, and a few digits in grey."""
    choose = np.random.default_rng(7)
    sources = [Image.fromarray(photo) for photo in load_sample_images().images]  # 427 x 640
    made = []
    for i in range(n):
        if i % 8 == 7:
            digit = np.round(load_digits().images[i] * (255 / 16)).astype(np.uint8)
            piece = Image.fromarray(digit).convert("RGB").resize((width, height), Image.Resampling.NEAREST)
        else:
            side = int(choose.integers(60, 420))
            top, left = int(choose.integers(0, 428 - side)), int(choose.integers(0, 641 - side))
            piece = sources[i % 2].resize(
                (width, height), Image.Resampling.LANCZOS, (left, top, left + side, top + side)
            )
        made.append(tensor(piece))
    return torch.stack(made)


def pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def draws(n: int, seed: int = 3, visit: int = 0) -> Draw:
    return Draw(seed, torch.arange(n), torch.full((n,), visit))
