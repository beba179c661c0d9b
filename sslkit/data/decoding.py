"""All images of a data set, decoded: each once, and kept for the next run.

No seed and no augmentation enters what is kept, so runs share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.data import Images, Raw
from sslkit.data.checking import looked_at, over, refuse
from sslkit.data.image import Array, BadImageError, Square, size_of
from sslkit.data.on_demand import OnDemand
from sslkit.data.stored import Stored
from sslkit.data.threads import in_threads
from sslkit.errors import UserError

WAITING = 8  # threads that wait while others decode
RULES = 2  # raised when other pixels are made of some files: what was kept before is not taken


def median_size(raw: Raw, cache: Path | None = None) -> int:
    """Median of the shorter sides of (at most 500 of) the images that can be opened.

    Args:
        cache: as of `over`.

    Raises:
        BadImageError: none can be.
    """

    def look(i: int) -> tuple[int, str]:
        try:
            return min(size_of(raw.source(i), raw.name(i, "train"))), ""
        except BadImageError as error:
            return 0, str(error)

    seen = [*over(raw, range(0, len(raw.images), max(1, len(raw.images) // 500)), look, cache, "side")]
    sides = [side for side, bad in seen if not bad]
    if not sides:
        refuse([bad for _, bad in seen], len(raw.images))
    return int(statistics.median_low(sides))


def decode(
    classes: list[str],
    train: Raw,
    test: Raw,
    size: int,
    cache: Path | None = None,
    *,
    crop: float = 1.0,
    interpolation: str = "bicubic",
    limit: float = math.inf,
    whole: bool = False,
    workers: int | None = None,
) -> Images:
    """Decode every image once: RGB, the middle square, scaled to `size`. Where that takes too much
    memory, they are decoded on demand instead, and come out the same; all of them are read once before.

    Args:
        cache: folder where decoded images are kept, so that the next run finds them: of encoded images by their
            content, of files by path, size and time of change.
        crop: side of the middle square, as a share of the short side.
        interpolation: "bicubic" or "bilinear".
        limit: bytes; encoded images that take more when they are decoded are decoded on demand.
        whole: crops are cut out of whole images, which are decoded on demand.
        workers: threads that decode on demand; None is one a core.

    Raises:
        BadImageError: images are missing or broken; names them.
        UserError: they need more memory than there is.
    """
    count = len(train.images)

    def source(i: int) -> Any:
        return train.source(i) if i < count else test.source(i - count)

    square = Square(size, crop, interpolation, train.tone)
    stored = Stored(source, [*train.all_names("train"), *test.all_names("test")], square)
    encoded = not isinstance(source(0), np.ndarray)
    pixels: Array | OnDemand
    sights = None
    if whole or (encoded and stored.nbytes > limit):
        sights = _looked_at(train, test, cache) if encoded else None
        pixels = OnDemand(stored, np.arange(len(stored)), whole, ThreadPoolExecutor(workers or _threads(train)))
        digest = stored.digest()
    else:
        pixels = _cached(stored, cache) if cache and encoded else _decode(stored)
        digest = hashlib.sha256(pixels.data)
    label = np.concatenate([train.label, test.label]).astype(np.int64)
    digest.update(label.tobytes() + "\0".join(classes).encode())
    return Images(pixels, label, count, classes, digest.hexdigest(), stored.names, train.tone, sights)


def _threads(train: Raw) -> int:
    """That decode on demand: one a core, and more where they mostly wait for a server."""
    return (os.cpu_count() or 1) + WAITING * train.far


def _looked_at(train: Raw, test: Raw, cache: Path | None) -> Array:
    found = [looked_at(raw, part, cache) for raw, part in ((train, "train"), (test, "test"))]
    refuse([reason for reasons, _ in found for reason in reasons.values()], len(train.images) + len(test.images))
    return np.concatenate([sights for _, sights in found])


def _decode(stored: Stored) -> Array:
    size = stored.square.size
    try:
        pixels = np.empty((len(stored), 3, size, size), np.uint8)
    except MemoryError:
        needed = f"{stored.nbytes / 1e9:.1f} GB of memory"
        raise UserError(f"{len(stored)} images of {size} px need {needed}, which is not there; lower --size") from None

    def fill(i: int) -> str:
        try:
            pixels[i] = stored.pixels(i)
        except BadImageError as error:
            return str(error)
        return ""

    refuse([*filter(None, in_threads(fill, range(len(stored)), "images are decoded"))], len(stored))
    return pixels


def _cached(stored: Stored, cache: Path) -> Array:
    try:
        path = cache / f"{stored.digest().hexdigest()[:16]}-{RULES}.npy"
    except UserError:  # a file is gone: it is named with all others that cannot be read
        return _decode(stored)
    with contextlib.suppress(OSError, ValueError):  # not there, or damaged
        found: Array = np.load(path)
        return found
    pixels = _decode(stored)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, pixels)
        temporary.replace(path)
    except OSError:  # no room: decoded again the next time
        temporary.unlink(missing_ok=True)
    return pixels
