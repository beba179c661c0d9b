"""Images that are there twice: byte for byte, or nearly, by a perceptual hash.

No label is looked at.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from sslkit.data import Raw
from sslkit.data.checking import remembered
from sslkit.data.image import Array
from sslkit.data.threads import in_threads
from sslkit.store.drives import tried_again

TAIL = 1024  # bytes at the end of a file, which tell files of one size apart: its beginning is often the same
WAVE = np.cos(np.pi / 32 * (np.arange(32) + 0.5) * np.arange(8)[:, None])  # (8, 32), the lowest frequencies
COUNTS = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)
BANDS, RADIUS, ALIKE = 24, 14, 0.95
PLAIN = 3.0  # levels; below this deviation a small picture shows nothing


class Equal(NamedTuple):
    """A training image and a test image with the same content, by their numbers in their parts."""

    train: int
    test: int


def equal_images(train: Raw, test: Raw, cache: Path | None = None) -> list[Equal]:
    """Training images whose content is that of a test image, each with the first such, in the order of training.

    Contents are compared byte for byte: of encoded images the files, of arrays the levels. Only images of the same
    size and the same last bytes are read in full. Images that cannot be read are equal to none.

    Args:
        cache: folder where the answer is kept; the same files are not read again.
    """
    if any(isinstance(raw.images, np.ndarray) for raw in (train, test)):
        return _equal(train, test)
    return [Equal(*pair) for pair in remembered(cache, "equal", [train, test], lambda: _equal(train, test))]


def _equal(train: Raw, test: Raw) -> list[Equal]:
    places: list[dict[int, Any]] = [dict.fromkeys(range(len(raw.images))) for raw in (train, test)]
    for key in (_size, _tail, content):
        places = [_keys(key, raw, list(some)) for raw, some in zip((train, test), places, strict=True)]
        shared = {*places[0].values()} & {*places[1].values()} - {None}
        places = [{i: k for i, k in some.items() if k in shared} for some in places]
    where = {k: i for i, k in reversed(places[1].items())}
    return [Equal(i, where[k]) for i, k in places[0].items()]


def several_labels(raw: Raw, cache: Path | None = None) -> list[list[int]]:
    """Images of one content that have different labels, in groups by their first; encoded images only.

    Args:
        cache: as of `equal_images`.
    """
    if isinstance(raw.images, np.ndarray) or not len(raw.images):
        return []
    in_files = isinstance(raw.source(0), str)  # bytes are compared sooner than told apart for the cache
    groups = remembered(cache, "same", [raw], lambda: _same(raw)) if in_files else _same(raw)
    return [group for group in groups if len({int(raw.label[i]) for i in group} - {-1}) > 1]


def _same(raw: Raw) -> list[list[int]]:
    numbers: Sequence[int] = range(len(raw.images))
    groups: dict[Any, list[int]] = {}
    for key in (_size, _tail, content):
        groups = {}
        for i, value in _keys(key, raw, numbers).items():
            groups.setdefault(value, []).append(i)
        groups = {k: group for k, group in groups.items() if k is not None and len(group) > 1}
        numbers = sorted(i for group in groups.values() for i in group)
    return [*groups.values()]


def equal_pixels(pixels: Array, train: int) -> list[Equal]:
    """Training images that are, decoded, what a test image is, each with the first such; files may be of two formats.

    Args:
        pixels: (N, 3, S, S) uint8, training part first.
        train: images of the training part.
    """
    keys = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]
    tested = {key: i for i, key in reversed([*enumerate(keys[train:])])}
    return [Equal(i, tested[key]) for i, key in enumerate(keys[:train]) if key in tested]


def _keys(key: Callable[[Any], Any], raw: Raw, numbers: Sequence[int]) -> dict[int, Any]:
    """Number -> key of what the image is opened from; files are waited for, so threads open them."""
    if len(raw.images) and isinstance(raw.source(0), str):
        return dict(zip(numbers, in_threads(lambda i: key(raw.source(i)), numbers), strict=True))
    return {i: key(raw.source(i)) for i in numbers}


def _size(source: Any) -> Any:
    """What equal contents have in common without being read; None where nothing can be read."""
    if isinstance(source, np.ndarray):
        return source.shape
    if isinstance(source, bytes):
        return len(source) or None
    try:
        return tried_again(os.stat)(source).st_size
    except OSError:
        return None


def _tail(source: Any) -> bytes | None:
    if isinstance(source, np.ndarray):
        return content(source)
    if isinstance(source, bytes):
        return source[-TAIL:]
    try:
        return _end(source)
    except OSError:
        return None


@tried_again
def _end(path: Any) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        return file.read()


def content(source: Any) -> bytes | None:
    """32 bytes that equal contents share: the bytes of encoded images, shape and levels of arrays; None: unreadable."""
    if isinstance(source, np.ndarray):
        return hashlib.blake2b(str(source.shape).encode() + source.tobytes(), digest_size=32).digest()
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=32).digest()
    try:
        return _digest(source)
    except OSError:
        return None


@tried_again
def _digest(path: Any) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).digest()


def perceptual_hash(grey: Image.Image) -> int:
    """64 bits that similar images share for the most part: the signs of the lowest frequencies of a small picture.

    Source: the DCT hash of Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", with the
    sign of each coefficient in the place of its side of the median. The bit of the constant is 0.
    """
    small = np.asarray(grey.resize((WAVE.shape[1],) * 2, Image.Resampling.BOX), np.float64)
    signs = (WAVE @ small @ WAVE.T).ravel() > 0
    signs[0] = False
    return int.from_bytes(np.packbits(signs).tobytes(), "big")


def near_duplicates(hashes: Array, thumbs: Array) -> list[list[int]]:
    """Groups of images that look alike: equal ones, or scaled, compressed again, a little brighter, darker or cropped.

    Two images belong together where their hashes agree in all bits but `RADIUS`, and their small pictures correlate
    by `ALIKE` or more. Only images whose hashes agree in all bits of one of `BANDS` choices of bits are compared, so
    the work grows little faster than the number of images. Pictures of one colour belong to nothing.

    Args:
        hashes: (N,) uint64, of `perceptual_hash`.
        thumbs: (N, h, w) uint8.
    """
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    deviation = flat.std(1)
    flat /= np.maximum(deviation, 1e-6)[:, None]
    chosen = np.flatnonzero(deviation >= PLAIN)
    _, of, where = np.unique(hashes[chosen], return_index=True, return_inverse=True)
    pairs = [np.stack([chosen, chosen[of][where]], 1)]  # images of one hash, each with the first of them
    pairs += [chosen[of][some] for some in _close(hashes[chosen][of])]
    found = np.concatenate(pairs)
    found = found[found[:, 0] != found[:, 1]]
    alike = [
        np.einsum("ij,ij->i", flat[a], flat[b]) >= ALIKE * flat.shape[1]
        for a, b in (some.T for some in np.array_split(found, len(found) // 100_000 + 1))
    ]
    return _groups(found[np.concatenate(alike)], len(hashes))


def _close(hashes: Array) -> Iterator[Array]:
    """Pairs (P, 2) of different hashes within the radius, some more than once."""
    bits = max(12, len(hashes).bit_length() - 4)
    draw = np.random.default_rng(0)
    for _ in range(BANDS):
        mask = sum(1 << int(bit) for bit in draw.choice(63, min(bits, 40), replace=False))
        key = hashes & np.uint64(mask)
        order = np.argsort(key, kind="stable")
        key, apart, at = key[order], 1, np.arange(len(key))
        while len(at := at[at + apart < len(key)]) and len(at := at[key[at] == key[at + apart]]):
            pairs = np.stack([order[at], order[at + apart]], 1)
            different = hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]
            yield pairs[COUNTS[different[:, None].view(np.uint16)].sum(1) <= RADIUS]
            apart += 1


def _groups(pairs: Array, count: int) -> list[list[int]]:
    """The images that pairs connect, in groups by their first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, label = connected_components(graph, directed=False)
    several = np.flatnonzero(np.bincount(label, minlength=1)[label] > 1)
    groups: dict[int, list[int]] = {}
    for i, group in zip(several.tolist(), label[several].tolist(), strict=True):
        groups.setdefault(group, []).append(i)
    return list(groups.values())
