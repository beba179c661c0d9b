"""All images of a data set, decoded: each once, and kept for the next run."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.data import Images, Raw
from sslkit.data.image import Array, open_image, to_pixels
from sslkit.data.on_demand import OnDemand
from sslkit.errors import UserError
from sslkit.version import __version__

BLOCK = 64  # images that a thread decodes at once


def median_size(raw: Raw) -> int:
    """Median of the shorter sides of (at most 500 of) the images."""
    sides = []
    for i in range(0, len(raw.images), max(1, len(raw.images) // 500)):
        with open_image(raw.source(i), raw.name(i, "train")) as image:
            sides.append(min(image.size))
    return int(statistics.median_low(sides))


def decode(
    classes: list[str],
    train: Raw,
    test: Raw,
    size: int,
    cache: Path | None = None,
    *,
    crop: float = 1.0,
    limit: float = math.inf,
    whole: bool = False,
    workers: int | None = None,
) -> Images:
    """Decode every image once: RGB, the middle square, scaled to `size` (bicubic). Where that takes too much
    memory, they are decoded on demand instead, and come out the same.

    Args:
        cache: folder where decoded images are kept, so that the next run finds them: of encoded images by their
            content, of files by path, size and time of change.
        crop: side of the middle square, as a share of the short side.
        limit: bytes; encoded images that take more when they are decoded are decoded on demand.
        whole: crops are cut out of whole images, which are decoded on demand.
        workers: threads that decode on demand; None is one a core.

    Raises:
        UserError: an image is missing or broken, or all of them need more memory than there is.
    """
    count = len(train.images)
    names = [raw.name(i, part) for raw, part in ((train, "train"), (test, "test")) for i in range(len(raw.images))]

    def source(i: int) -> Any:
        return train.source(i) if i < count else test.source(i - count)

    encoded = not isinstance(source(0), np.ndarray)
    pixels: Array | OnDemand
    if whole or (encoded and len(names) * 3 * size * size > limit):
        pool = ThreadPoolExecutor(workers or os.cpu_count())
        pixels = OnDemand(source, names, np.arange(len(names)), size, crop, whole, pool)
        digest = _of_files(source, names, size, crop)
    else:
        kept = cache if encoded else None
        pixels = _cached(source, names, size, crop, kept) if kept else _decode(source, names, size, crop)
        digest = hashlib.sha256(pixels.data)
    label = np.concatenate([train.label, test.label]).astype(np.int64)
    digest.update(label.tobytes() + "\0".join(classes).encode())
    return Images(pixels, label, count, classes, digest.hexdigest(), names)


def _decode(source: Callable[[int], Any], names: Sequence[str], size: int, crop: float) -> Array:
    try:
        pixels = np.empty((len(names), 3, size, size), np.uint8)
    except MemoryError:
        needed = f"{len(names) * 3 * size * size / 1e9:.1f} GB of memory"
        raise UserError(f"{len(names)} images of {size} px need {needed}, which is not there; lower --size") from None

    def fill(start: int) -> None:
        for i in range(start, min(start + BLOCK, len(names))):
            pixels[i] = to_pixels(source(i), size, names[i], crop)

    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, range(0, len(names), BLOCK)))
    return pixels


def _cached(source: Callable[[int], Any], names: Sequence[str], size: int, crop: float, cache: Path) -> Array:
    path = cache / f"{_of_files(source, names, size, crop).hexdigest()[:16]}.npy"
    with contextlib.suppress(OSError, ValueError):  # not there, or damaged
        found: Array = np.load(path)
        return found
    pixels = _decode(source, names, size, crop)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, pixels)
        temporary.replace(path)
    except OSError:  # no room: decoded again the next time
        temporary.unlink(missing_ok=True)
    return pixels


def _of_files(source: Callable[[int], Any], names: Sequence[str], size: int, crop: float) -> hashlib._Hash:
    digest = hashlib.sha256(f"{__version__} {size} {crop}".encode())
    for i in range(len(names)):
        digest.update(identity(source(i)))
    return digest


def identity(source: Any) -> bytes:
    """32 bytes that tell an image from another: of its content, of a file by path, size and time of change."""
    if isinstance(source, str | os.PathLike):
        try:
            about = os.stat(source)
        except OSError as error:
            raise UserError(f"no image file {source}: {error.strerror}") from None
        source = f"{os.path.abspath(source)}\0{about.st_size}\0{about.st_mtime_ns}".encode(errors="surrogateescape")
    return hashlib.sha256(source).digest()
