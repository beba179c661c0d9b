"""Training images that are in the test part, too, or look like one of it: said before training, where that is cheap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sslkit.data import Images
from sslkit.data.duplicates import equal_pixels
from sslkit.data.image import Array
from sslkit.data.near import SURE, alike_across, looks
from sslkit.data.parts import Parts

MOST = 20_000  # images up to which those that look alike are searched; `sslkit data` does it for any number


def in_both(images: Images, parts: Parts) -> list[str]:
    """What is said of training images that are a test image in another file, or look like one, as they are decoded.

    Nothing where they are decoded for every batch. Those that are a test image byte for byte are said before.
    """
    if not isinstance(images.pixels, np.ndarray):
        return []
    pairs = [(one.train, images.train + one.test) for one in equal_pixels(images.pixels, images.train)]
    return [*_equal(images, parts, pairs), *_near(images, images.pixels, {a for a, _ in pairs})]


def _equal(images: Images, parts: Parts, pairs: Sequence[tuple[int, int]]) -> list[str]:
    known = {tuple(pair) for pair in parts.stored.get("byte_equal", ())}
    names = [(images.names[a], images.names[b]) for a, b in pairs]
    new = [pair for pair in names if pair not in known]
    if not new:
        return []
    some = ", ".join(f"{a} = {b}" for a, b in new[:3]) + (", …" if len(new) > 3 else "")
    return [f"the same pixels in training and in test, in other files: {len(new)}, kept in both: {some}"]


def _near(images: Images, pixels: Array, equal: set[int]) -> list[str]:
    """Args: pixels (N, 3, S, S) uint8; numbers of training images whose pixels are a test image's."""
    if images.size < SURE or len(pixels) > MOST or not 0 < images.train < len(pixels):
        return []
    pairs = alike_across(*looks(pixels), images.train)
    first = {a: b for a, b in reversed(pairs.tolist()) if a not in equal}
    if not first:
        return []
    one = min(first)
    what = f"{len(first)} training image{'s look' if len(first) > 1 else ' looks'} like test images"
    some = f"{images.names[one]} ~ {images.names[first[one]]}"
    return [f"near duplicates: {what}, as {some}, kept in both; `sslkit data` lists them"]
