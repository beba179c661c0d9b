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
from collections.abc import Callable, Mapping, Sequence
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
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")  # in any case
TEST = ("test", "val", "valid", "validation")  # what a test part may be called; the first that is there is the one
BLOCK = 64  # images that a thread decodes at once


@dataclass(frozen=True)
class Raw:
    """Images as they are stored, with labels. Ten million files are ten million names: no object but a text each."""

    images: Sequence[Any]  # uint8 arrays (H, W) or (H, W, 3), encoded files as bytes, or paths of files below `root`
    label: Array  # (N,) int64, -1 where there is none
    names: Sequence[str] = ()  # where an image came from; default: its path, else its part and number
    root: str | Path = ""

    def source(self, i: int) -> Any:
        """What image i is opened from: an array, bytes, or the path of a file."""
        image = self.images[i]
        return os.path.join(self.root, image) if isinstance(image, str | os.PathLike) else image

    def name(self, i: int, part: str) -> str:
        """The name of image i of this part."""
        if len(self.names):
            return self.names[i]
        image = self.images[i]
        return str(image) if isinstance(image, str | os.PathLike) else f"{part} image {i}"


class Dataset(ABC):
    """A part of kind "dataset", made as `Data(**options)`; `argument` names the option that follows the colon.

    Options called `dir` and `download` are the keys `data.dir` (a text) and `data.download` (true or false).
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
    sides = []
    for i in range(0, len(raw.images), max(1, len(raw.images) // 500)):
        with _open(raw.source(i), raw.name(i, "train")) as image:
            sides.append(min(image.size))
    return int(statistics.median_low(sides))


def decode(classes: list[str], train: Raw, test: Raw, size: int, cache: Path | None = None) -> Images:
    """Decode every image once: RGB, short side to `size` (bicubic), centre crop.

    Args:
        cache: folder where decoded images are kept, so that the next run finds them: of encoded images by their
            content, of files by path, size and time of change.

    Raises:
        UserError: an image is missing or broken, or all of them need more memory than there is.
    """
    count = len(train.images)
    names = [raw.name(i, part) for raw, part in ((train, "train"), (test, "test")) for i in range(len(raw.images))]

    def source(i: int) -> Any:
        return train.source(i) if i < count else test.source(i - count)

    encoded = not isinstance(source(0), np.ndarray)
    pixels = _cached(source, names, size, cache) if cache and encoded else _decode(source, names, size)
    label = np.concatenate([train.label, test.label]).astype(np.int64)
    digest = hashlib.sha256(pixels.data)
    digest.update(label.tobytes() + "\0".join(classes).encode())
    return Images(pixels, label, count, classes, digest.hexdigest(), names)


def _decode(source: Callable[[int], Any], names: Sequence[str], size: int) -> Array:
    try:
        pixels = np.empty((len(names), 3, size, size), np.uint8)
    except MemoryError:
        needed = f"{len(names) * 3 * size * size / 1e9:.1f} GB of memory"
        raise UserError(f"{len(names)} images of {size} px need {needed}, which is not there; lower --size") from None

    def fill(start: int) -> None:
        for i in range(start, min(start + BLOCK, len(names))):
            pixels[i] = to_pixels(source(i), size, names[i])

    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, range(0, len(names), BLOCK)))
    return pixels


def _cached(source: Callable[[int], Any], names: Sequence[str], size: int, cache: Path) -> Array:
    digest = hashlib.sha256(f"{__version__} {size}".encode())
    for i in range(len(names)):
        digest.update(_identity(source(i)))
    path = cache / f"{digest.hexdigest()[:16]}.npy"
    with contextlib.suppress(OSError, ValueError):  # not there, or damaged
        found: Array = np.load(path)
        return found
    pixels = _decode(source, names, size)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, pixels)
        temporary.replace(path)
    except OSError:  # no room: decoded again the next time
        temporary.unlink(missing_ok=True)
    return pixels


def _identity(source: Any) -> bytes:
    """32 bytes that tell an image from another: of its content, of a file by path, size and time of change."""
    if isinstance(source, str | os.PathLike):
        try:
            about = os.stat(source)
        except OSError as error:
            raise UserError(f"no image file {source}: {error.strerror}") from None
        source = f"{os.path.abspath(source)}\0{about.st_size}\0{about.st_mtime_ns}".encode(errors="surrogateescape")
    return hashlib.sha256(source).digest()


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
    except FileNotFoundError:
        raise UserError(f"no image file {item}") from None
    except Exception as error:
        raise UserError(f"{name} cannot be decoded: {one_line(error)}") from None
