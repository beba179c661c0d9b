"""Training images that are in the test part, too, or look like one of it: said before training, where that is cheap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sslkit.data import Images
from sslkit.data.duplicates import equal_keys, pixel_keys
from sslkit.data.near import SURE, alike_across, looks
from sslkit.data.parts import Parts

MOST = 20_000  # images up to which those that look alike are searched; `sslkit data` does it for any number


def in_both(images: Images, parts: Parts) -> list[str]:
    """What is said of training images that are a test image in another file, or look like one, as they are decoded.

    Those that are a test image byte for byte are said before.
    """
    if images.sights is not None:  # decoded for every batch: whole images, as they were looked at
        keys = images.sights["pixels"].copy().view("V16")[:, 0].tolist()
    elif isinstance(images.pixels, np.ndarray):
        keys = pixel_keys(images.pixels)
    else:
        return []
    pairs = [(one.train, images.train + one.test) for one in equal_keys(keys, images.train)]
    near = _near(images, {a for a, _ in pairs}) if images.size >= SURE and len(keys) <= MOST else []
    return [*_equal(images, parts, pairs), *near]


def _equal(images: Images, parts: Parts, pairs: Sequence[tuple[int, int]]) -> list[str]:
    known = {tuple(pair) for pair in parts.stored.get("byte_equal", ())}
    names = [(images.names[a], images.names[b]) for a, b in pairs]
    new = [pair for pair in names if pair not in known]
    if not new:
        return []
    some = ", ".join(f"{a} = {b}" for a, b in new[:3]) + (", …" if len(new) > 3 else "")
    return [f"the same pixels in training and in test, in other files: {len(new)}, kept in both: {some}"]


def _near(images: Images, equal: set[int]) -> list[str]:
    """Args: numbers of training images whose pixels are a test image's."""
    if not 0 < images.train < len(images.label):
        return []
    seen = images.sights
    hashes, thumbs = looks(np.asarray(images.pixels)) if seen is None else (seen["hash"], seen["thumb"])
    pairs = alike_across(hashes, thumbs, images.train)
    first = {a: b for a, b in reversed(pairs.tolist()) if a not in equal}
    if not first:
        return []
    one = min(first)
    what = f"{len(first)} training image{'s look' if len(first) > 1 else ' looks'} like test images"
    some = f"{images.names[one]} ~ {images.names[first[one]]}"
    return [f"near duplicates: {what}, as {some}, kept in both; `sslkit data` lists them"]
