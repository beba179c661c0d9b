"""Folders of real images: pieces of scikit-learn's two photographs, and its handwritten digits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image

Array = np.ndarray[Any, Any]
PHOTOGRAPHS = {"temple d'été": "china.jpg", "fleur": "flower.jpg"}  # class -> photograph


@cache
def photograph(file: str) -> Image.Image:
    return Image.fromarray(load_sample_image(file))


def pieces(file: str, count: int, seed: int = 0) -> list[Image.Image]:
    """Pieces of a photograph that do not overlap, of many sizes and aspects, in an order that is drawn."""
    whole, draw = photograph(file), np.random.default_rng(seed)
    places = [(x, y) for x in range(0, whole.width - 64, 64) for y in range(0, whole.height - 64, 64)]
    chosen = draw.permutation(len(places))[:count]
    sides = draw.integers(40, 64, (count, 2))
    return [
        whole.crop((places[i][0], places[i][1], places[i][0] + int(w), places[i][1] + int(h)))
        for i, (w, h) in zip(chosen, sides, strict=True)
    ]


def save(image: Image.Image, file: Path, **options: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, **options)
    return file


def photos(root: Path, train: int = 12, test: int = 4, heap: int = 8) -> None:
    """Two classes of pieces, `Training` and `Test`, and a heap of both."""
    for name, source in PHOTOGRAPHS.items():
        some = pieces(source, train + test + heap)
        for i, image in enumerate(some):
            part = f"Training/{name}" if i < train else f"Test/{name}" if i < train + test else "unlabelled"
            save(image, root / part / f"{source[0]}{i:02}.jpg", quality=90)


def digits(root: Path, count: int = 300) -> None:
    """Handwritten digits in class folders 0 to 9, of 32 pixels."""
    found = load_digits()
    for i in range(count):
        image = Image.fromarray(np.round(found.images[i] * (255 / 16)).astype(np.uint8))
        save(image.resize((32, 32), Image.Resampling.BICUBIC), root / str(found.target[i]) / f"{i:04}.png")
