"""Data: what a data set must give, and how it becomes one array of uint8 images.

A data set is one short file: a subclass of `Dataset` with a `read` method.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sslkit.errors import UserError, one_line
from sslkit.version import __version__

Array: TypeAlias = np.ndarray[Any, Any]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Raw:
    """Images as they are stored, with labels."""

    images: Sequence[Any]  # uint8 arrays (H, W) or (H, W, 3), or encoded files as bytes
    label: Array  # (N,) int64, -1 where there is none
    names: Sequence[str] = ()  # where an image came from; default: its part and number


class Dataset(ABC):
    """A part of kind "dataset", made as `Data(**options)`; `argument` names the option that follows the colon.

    What may be done to the images is declared here, and no view does otherwise.
    """

    argument: ClassVar[str | None] = None
    flip: ClassVar[bool] = True  # a mirror image keeps its label
    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    defaults: ClassVar[Mapping[str, Any]] = {}  # configuration keys that suit this data

    @abstractmethod
    def read(self) -> tuple[list[str], Raw, Raw]:
        """Class names, training part, test part.

        Raises:
            UserError: the data is not there or not as it should be.
        """


@dataclass(frozen=True)
class Images:
    """A decoded data set: training part first, then the test part."""

    pixels: Array  # (N, 3, S, S) uint8
    label: Array  # (N,) int64, -1 where there is none
    train: int  # images of the training part
    classes: list[str]
    fingerprint: str  # sha256 of pixels, labels and class names
    names: Sequence[str]  # (N,)

    @property
    def size(self) -> int:
        return int(self.pixels.shape[2])


def median_size(raw: Raw) -> int:
    """Median of the shorter sides of (at most 500 of) the images."""
    step = max(1, len(raw.images) // 500)
    return int(
        statistics.median_low(
            min(_open(raw.images[i], f"train image {i}").size) for i in range(0, len(raw.images), step)
        )
    )


def decode(classes: list[str], train: Raw, test: Raw, size: int, cache: Path | None = None) -> Images:
    """Decode every image once: RGB, short side to `size` (bicubic), centre crop.

    Args:
        cache: folder where decoded files are kept by their content, so that the next run finds them.
    """
    items = [*train.images, *test.images]
    names = [*_names(train, "train"), *_names(test, "test")]
    encoded = cache and isinstance(items[0], bytes)
    pixels = _cached(items, names, size, cache) if cache and encoded else _decode(items, names, size)
    label = np.concatenate([train.label, test.label]).astype(np.int64)
    digest = hashlib.sha256(pixels.data)
    digest.update(label.tobytes() + "\0".join(classes).encode())
    return Images(pixels, label, len(train.images), classes, digest.hexdigest(), names)


def _names(raw: Raw, part: str) -> Sequence[str]:
    return raw.names or [f"{part} image {i}" for i in range(len(raw.images))]


def _decode(items: Sequence[Any], names: Sequence[str], size: int) -> Array:
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(lambda item, name: to_pixels(item, size, name), items, names)))


def _cached(items: Sequence[bytes], names: Sequence[str], size: int, cache: Path) -> Array:
    digest = hashlib.sha256(f"{__version__} {size}".encode())
    for item in items:
        digest.update(hashlib.sha256(item).digest())
    path = cache / f"{digest.hexdigest()[:16]}.npy"
    with contextlib.suppress(OSError, ValueError):  # not there, or damaged
        found: Array = np.load(path)
        return found
    pixels = _decode(items, names, size)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, pixels)
        temporary.replace(path)
    except OSError:  # no room: decoded again the next time
        temporary.unlink(missing_ok=True)
    return pixels


def to_pixels(item: Any, size: int, name: str) -> Array:
    """One image as (3, size, size) uint8.

    Raises:
        UserError: it cannot be decoded; says its name.
    """
    image = _open(item, name)
    try:
        image = _eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
        if image.size != (size, size):
            image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    except Exception as error:  # decoders raise what they like
        raise UserError(f"{name} cannot be decoded: {one_line(error)}") from None
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits are scaled by depth; Pillow itself would clip them to white."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))


def _open(item: Any, name: str) -> Image.Image:
    if isinstance(item, np.ndarray):
        return Image.fromarray(item)
    try:
        return Image.open(io.BytesIO(item) if isinstance(item, bytes) else item)
    except UnidentifiedImageError:
        raise UserError(f"{name} is not an image that Pillow knows") from None
    except Exception as error:
        raise UserError(f"{name} cannot be decoded: {one_line(error)}") from None
