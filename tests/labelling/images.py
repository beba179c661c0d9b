"""The images that the files in `fixtures/` speak of, and what is true of them.

Names have what tools trip over: folders with equal names inside, spaces, brackets, accents, signs. Every tool's script
makes the same set as far as the tool can say it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

TRUTH = {  # name -> class; None is unlabelled
    "a/1.png": "cat",
    "b/1.png": "dog",
    "b/two words (2).png": "cat",
    "b/drei-ä+x.png": "dog",
    "4.png": None,
    "5.png": "emu",
}
SEVERAL = "6.png"  # cat and dog
BOXED = "7.png"  # a box, no class
CLASSES = ["emu", "dog", "cat"]  # not in the order of letters


def make(folder: Path) -> list[str]:
    """Small pictures, all different; returns their names."""
    names = [*TRUTH, SEVERAL, BOXED]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return names


def classes_of(name: str) -> list[str]:
    """What an annotator gives an image."""
    if name == SEVERAL:
        return ["cat", "dog"]
    label = TRUTH.get(name)
    return [label] if label else []
