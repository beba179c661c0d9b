"""Images that are there twice, byte for byte or pixel for pixel.

No label is looked at.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sslkit.data import Raw
from sslkit.data.checking import remembered
from sslkit.data.image import Array
from sslkit.data.threads import in_threads
from sslkit.store import anywhere
from sslkit.store.drives import tried_again

TAIL = 1024  # bytes at the end of a file, which tell files of one size apart: its beginning is often the same


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


def pixel_keys(pixels: Array) -> list[bytes]:
    """Bytes of each image (N, 3, S, S) uint8 that equal ones share, and no others.

    Sixteen levels of it; of images that have those in common a digest, which is longer than any of them.
    """
    flat = pixels.reshape(len(pixels), math.prod(pixels.shape[1:]))
    some = np.ascontiguousarray(flat[:, np.linspace(0, flat.shape[1] - 1, 16).astype(int)])
    few = some.view("V16")[:, 0]
    _, group, count = np.unique(few, return_inverse=True, return_counts=True)
    keys: list[bytes] = [level.tobytes() for level in few]
    for i in np.flatnonzero(count[group] > 1).tolist():
        keys[i] = hashlib.blake2b(pixels[i].tobytes(), digest_size=20).digest()
    return keys


def equal_keys(keys: Sequence[bytes], train: int) -> list[Equal]:
    """Training images that are, decoded, what a test image is, each with the first such; files may be of two formats.

    Args:
        keys: (N,) that equal images share, training part first.
        train: images of the training part.
    """
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
        return tried_again(anywhere.size)(source)
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
    return anywhere.read(path, -TAIL)


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
    with anywhere.opened(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).digest()
