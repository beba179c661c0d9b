"""Images that look alike, by a perceptual hash and a small picture; no label is looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d

from sslkit.data.image import Array

WAVE = np.cos(np.pi / 32 * (np.arange(32) + 0.5) * np.arange(8)[:, None])  # (8, 32), the lowest frequencies
RADIUS, ALIKE = 14, 0.95
SURE = 32  # pixels of a side from which on the hash tells images apart, which is of such a picture
THUMB = 16  # pixels
GREY = torch.tensor([0.299, 0.587, 0.114])  # of red, green and blue, as Pillow has it
BLOCK = 256  # images that are scaled at once
PLAIN = 3.0  # levels; below this deviation a small picture shows nothing
EXACT = 10_000  # images up to which every pair is compared
ORDERS, SIDE = 24, 16  # of more, the orders in which they are put, and the images of a block in these
PAIRS = 1 << 20  # compared at once


def perceptual_hash(grey: Image.Image) -> int:
    """64 bits that similar images share for the most part: the signs of the lowest frequencies of a small picture.

    Source: the DCT hash of Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", with the
    sign of each coefficient in the place of its side of the median. The bit of the constant is 0.
    """
    small = np.asarray(grey.resize((SURE, SURE), Image.Resampling.BOX), np.float64)
    return int(_hashes(small[None])[0])


def thumb(grey: Image.Image) -> Array:
    """(`THUMB`, `THUMB`) uint8, the small picture of an image."""
    return np.asarray(grey.resize((THUMB, THUMB), Image.Resampling.BOX))


def _hashes(small: Array) -> Array:
    """(N,) uint64 of pictures in grey (N, `SURE`, `SURE`)."""
    signs = (WAVE @ small @ WAVE.T).reshape(len(small), -1) > 0
    signs[:, 0] = False
    return np.packbits(signs, axis=1).view(">u8")[:, 0].astype(np.uint64)


def looks(pixels: Array) -> tuple[Array, Array]:
    """Hashes (N,) uint64 and small pictures (N, `THUMB`, `THUMB`) uint8 of images (N, 3, S, S) uint8, S from `SURE` on.

    They are scaled by torch, many at once: where S is no multiple of `SURE`, they are about those of Pillow.
    """
    hashes, thumbs = [np.empty(0, np.uint64)], [np.empty((0, THUMB, THUMB), np.uint8)]
    for i in range(0, len(pixels), BLOCK):
        colours = adaptive_avg_pool2d(torch.from_numpy(pixels[i : i + BLOCK]).float(), SURE)
        small = torch.einsum("ncij,c->nij", colours, GREY)
        hashes.append(_hashes(small.numpy()))
        thumbs.append(adaptive_avg_pool2d(small, THUMB).round().byte().numpy())
    return np.concatenate(hashes), np.concatenate(thumbs)


def near_duplicates(hashes: Array, thumbs: Array) -> list[list[int]]:
    """Groups of images that look alike: equal ones, or scaled, compressed again, a little brighter, darker or cropped.

    Two images belong together where their hashes agree in all bits but `RADIUS`, and their small pictures correlate
    by `ALIKE` or more; a group is what such pairs connect, so that the frames of a camera are one. Pictures of one
    colour belong to nothing.

    Up to `EXACT` images every pair is compared. More are put in `ORDERS` orders, each by other bits of the hash and
    then by another mean of the small picture, and compared with the `SIDE` to `2 * SIDE` that follow: time and memory
    grow with the number of images whatever they show, and a pair that differs in many bits can be missed. What is
    connected already is not compared again.

    Source of the orders: Charikar 2002, "Similarity estimation techniques from rounding algorithms", section 3.

    Args:
        hashes: (N,) uint64, of `perceptual_hash`.
        thumbs: (N, h, w) uint8.
    """
    small = _Small(thumbs)
    shown = np.flatnonzero(small.deviation >= PLAIN)
    hashes, small = hashes[shown], _Small(thumbs[shown])
    group, found = np.arange(len(shown)), list[Array]()
    for rows, columns in _all_pairs(len(shown)) if len(shown) <= EXACT else _near_pairs(hashes, small):
        found.append(_alike(rows, columns, group, hashes, small))
        if sum(map(len, found)) >= PAIRS:
            group, found = _joined(group, np.concatenate(found)), []
    group = _joined(group, np.concatenate([*found, np.empty((0, 2), np.int64)]))
    return [shown[members].tolist() for members in _members(group)]


def alike_across(hashes: Array, thumbs: Array, train: int) -> Array:
    """(P, 2) the pairs of a training image and a test image that belong together as `near_duplicates` has it.

    Every such pair is compared.

    Args:
        hashes: (N,) uint64, those of the training part first; likewise `thumbs`, (N, h, w) uint8.
        train: images of the training part.
    """
    small = _Small(thumbs)
    shown = np.flatnonzero(small.deviation >= PLAIN)
    trained, tested = shown[shown < train], shown[shown >= train]
    found = [np.empty((0, 2), np.int64)]
    step = max(1, PAIRS // max(1, len(trained)))
    for i in range(0, len(tested), step) if len(trained) else ():
        found.append(_alike(tested[None, i : i + step], trained[None], np.arange(len(hashes)), hashes, small))
    return np.concatenate(found)[:, ::-1]


class _Small:
    """Small pictures with mean and deviation of each."""

    def __init__(self, thumbs: Array) -> None:
        self.levels = thumbs.reshape(len(thumbs), math.prod(thumbs.shape[1:]))
        blocks = [self.levels[i : i + 1024].astype(np.float32) for i in range(0, max(1, len(thumbs)), 1024)]
        self.mean, self.deviation = (np.concatenate(values) for values in zip(*map(_moments, blocks), strict=True))

    def unit(self, index: Array) -> Array:
        """(..., h * w) float32 of those at (...): mean 0 and length 1, so that products are correlations."""
        length = self.deviation[index] * np.sqrt(np.float32(self.levels.shape[1]))
        unit: Array = (self.levels[index] - self.mean[index][..., None]) / length[..., None]
        return unit


def _moments(block: Array) -> tuple[Array, Array]:
    return block.mean(1), block.std(1)


Blocks = Iterator[
    tuple[Array, Array]
]  # numbers of images, (b, r) and (b, c): every one of a row with all of its columns


def _all_pairs(count: int) -> Blocks:
    rows = PAIRS // max(1, count)
    for i in range(0, count, rows):
        yield np.arange(i, min(i + rows, count))[None], np.arange(i, count)[None]


def _near_pairs(hashes: Array, small: _Small) -> Blocks:
    for order in _orders(hashes, small):
        blocks = np.pad(order, (0, -len(order) % SIDE), "edge").reshape(-1, SIDE)
        both = np.concatenate([blocks, np.concatenate([blocks[1:], blocks[-1:]])], 1)
        step = PAIRS // (SIDE * 2 * SIDE)
        for i in range(0, len(blocks), step):
            yield blocks[i : i + step], both[i : i + step]


def _orders(hashes: Array, small: _Small) -> Iterator[Array]:
    """Orders (N,) of the images: by half of the bits of the hash, and where these agree by a mean of the picture."""
    draw = np.random.default_rng(0)
    for _ in range(ORDERS):
        chosen = 1 + draw.permutation(63)[:32]
        bits = np.unpackbits(hashes.astype(">u8")[:, None].view(np.uint8), axis=1).T[chosen].T
        high = np.ascontiguousarray(np.packbits(bits, axis=1)).view(">u4")[:, 0].astype(np.uint64)
        direction = draw.standard_normal(small.levels.shape[1]).astype(np.float32)
        direction /= np.linalg.norm(direction)
        places = np.arange(len(hashes))
        along = np.concatenate([small.unit(places[i : i + 1024]) @ direction for i in range(0, len(places), 1024)])
        low = ((np.clip(along.astype(np.float64), -1, 1) + 1) / 2 * (2**32 - 1)).astype(np.uint64)
        yield np.argsort(high << np.uint64(32) | low)


def _alike(rows: Array, columns: Array, group: Array, hashes: Array, small: _Small) -> Array:
    """(P, 2) the pairs of a row and one of its columns that belong together, and to two groups so far."""
    near = group[rows][:, :, None] != group[columns][:, None, :]
    for test in (_close, _correlated):
        some = np.flatnonzero(near.any((1, 2)))
        rows, columns, near = rows[some], columns[some], near[some]
        near &= test(rows, columns, hashes, small)
    block, row, column = np.nonzero(near)
    return np.stack([rows[block, row], columns[block, column]], 1)


def _close(rows: Array, columns: Array, hashes: Array, _: _Small) -> Array:
    return _ones(hashes[rows][:, :, None] ^ hashes[columns][:, None, :]) <= RADIUS


def _correlated(rows: Array, columns: Array, _: Array, small: _Small) -> Array:
    correlation: Array = small.unit(rows) @ small.unit(columns).swapaxes(1, 2)
    return correlation >= ALIKE


def _ones(words: Array) -> Array:
    """The number of bits that are 1 in each uint64: sums of two, of four, of eight neighbours, and of all."""
    words = words - (words >> np.uint64(1) & np.uint64(0x5555555555555555))
    words = (words & np.uint64(0x3333333333333333)) + (words >> np.uint64(2) & np.uint64(0x3333333333333333))
    words = words + (words >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return words * np.uint64(0x0101010101010101) >> np.uint64(56)


def _joined(group: Array, pairs: Array) -> Array:
    """Numbers (N,) of groups, with those joined that pairs (P, 2) of images connect."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = group[pairs]
    graph = coo_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), (len(group), len(group)))
    numbers: Array = connected_components(graph, directed=False)[1]
    return np.take(numbers, group)


def _members(group: Array) -> list[list[int]]:
    """The images of every group of several, in the order of their first."""
    several = np.flatnonzero(np.bincount(group, minlength=1)[group] > 1)
    found: dict[int, list[int]] = {}
    for i, number in zip(several.tolist(), group[several].tolist(), strict=True):
        found.setdefault(number, []).append(i)
    return list(found.values())
