"""One image, from whatever it is stored as to uint8 RGB; the same for training, test and prediction."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sslkit.data.formats import HEAD, reader_of
from sslkit.errors import UserError, one_line
from sslkit.reader import LIMIT, Levels, Reader, TooLargeError
from sslkit.store import anywhere
from sslkit.store.drives import tried_again

Array = np.ndarray[Any, Any]
T = TypeVar("T")
PAPER = (255, 255, 255, 255)  # what transparent images are laid on
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # `opened` says it in its own words


class BadImageError(UserError):
    """An image that cannot be read; the message names it."""


@dataclass(frozen=True)
class Tone:
    """What of the levels of an image becomes 8-bit RGB."""

    white: float | None = None  # the level of white in images of more than 8 bits; None: by the depth of each
    bands: tuple[int, ...] = ()  # which are red, green and blue, or which one is grey, from 1; (): the file says it

    def about(self) -> dict[str, Any]:
        """What is kept and exported of it: only what is not as ever."""
        found = {"white": self.white} if self.white is not None else {}
        return found | ({"bands": [*self.bands]} if self.bands else {})


PLAIN = Tone()


@dataclass(frozen=True)
class Square:
    """What is made of an image: its middle square, scaled."""

    size: int  # side in pixels
    crop: float = 1.0  # side before it is scaled, as a share of the image's short side
    interpolation: str = "bicubic"  # or "bilinear", both with antialiasing
    tone: Tone = field(default=PLAIN, repr=False)  # not in the name of a row of features, where it is as ever


def to_pixels(item: Any, square: Square, name: str) -> Array:
    """One image as (3, size, size) uint8: its `middle`.

    Raises:
        BadImageError: it cannot be decoded; says its name.
    """
    side = square.size
    if isinstance(item, np.ndarray) and item.shape in ((side, side), (side, side, 3)) and square.crop == 1:
        colours = item if item.ndim == 3 else item[..., None].repeat(3, 2)
        return np.ascontiguousarray(colours.transpose(2, 0, 1))  # there is nothing to decode
    return middle(read_rgb(item, name, square.tone), square)


def middle(image: Image.Image, square: Square) -> Array:
    """(3, size, size) uint8 of an RGB image: its middle square, scaled."""
    sides = (square.size, square.size)
    if image.size != sides or square.crop < 1:
        image = ImageOps.fit(image, sides, FILTERS[square.interpolation], bleed=(1 - square.crop) / 2)
    return planes(image)


def planes(image: Image.Image) -> Array:
    """(3, H, W) uint8 of an RGB image."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


@tried_again
def read_rgb(item: Any, name: str, tone: Tone = PLAIN) -> Image.Image:
    """A whole image, upright, in RGB; docs/data.md lists what becomes of each mode.

    Args:
        item: as for `opened`.

    Raises:
        BadImageError: it cannot be decoded; says its name.
    """
    with opened(item, name) as found:
        return to_rgb(found, tone)


def to_rgb(found: Image.Image | Levels, tone: Tone = PLAIN) -> Image.Image:
    """What a reader gave as 8-bit RGB.

    Raises:
        ValueError: levels or bands that are not clear.
    """
    if isinstance(found, Image.Image):
        found.load()
        turned = ImageOps.exif_transpose(found)
        assert turned is not None, "only with in_place"
        if not tone.bands:
            return _rgb(turned)
        found = Levels(
            np.atleast_3d(np.asarray(turned if turned.mode in ("L", "LA", "RGBA") else turned.convert("RGB"))), 255
        )
    found = as_bands(found) if tone.bands else found
    scaled = _eight_bits(chosen(found, tone), found, tone)
    return Image.fromarray(np.ascontiguousarray(scaled[..., 0] if scaled.shape[2] == 1 else scaled)).convert("RGB")


def as_bands(found: Levels) -> Levels:
    """With opacity, where there is any, as the last band."""
    if found.alpha is None:
        return found
    last = found.alpha[..., None] * (found.white or 1)
    last = (last if found.white is None else np.round(last)).astype(found.bands.dtype)
    return Levels(np.concatenate([found.bands, last], 2), found.white, form=found.form)


def chosen(found: Levels, tone: Tone) -> Array:
    """(H, W, 1 or 3) levels: the bands that are shown.

    Raises:
        ValueError: nobody says which of them are red, green and blue, or the image lacks one.
    """
    count = found.bands.shape[2]
    if tone.bands:
        if max(tone.bands) > count:
            raise ValueError(f"data.bands={','.join(map(str, tone.bands))}, and it has {count} band{'s' * (count > 1)}")
        return found.bands[..., [band - 1 for band in tone.bands]]
    if count not in (1, 3):
        raise ValueError(
            f"it has {count} bands; data.bands=1,2,3 says which are red, green and blue, or data.bands=1 which is grey"
        )
    return found.bands


def _rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        return Image.alpha_composite(Image.new("RGBA", image.size, PAPER), image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _eight_bits(levels: Array, found: Levels, tone: Tone) -> Array:
    """uint8 of levels, scaled by that of white and laid on white; Pillow itself would clip (python-pillow/Pillow#3159).

    Raises:
        ValueError: levels below 0, above what is white unless `tone` says that, or no numbers.
    """
    low, high = float(levels.min()), float(levels.max())
    asked = tone.white if levels.dtype != np.uint8 else None
    white = asked or found.white or white_of_floats(high)
    if not (low >= 0 and white and high <= (np.finfo(np.float64).max if asked else white)):
        raise ValueError(
            f"its levels go from {low:g} to {high:g}; levels are from 0 to 65535, or from 0 to 1, or data.white=LEVEL "
            "says which is white"
        )
    scaled = np.minimum(np.multiply(levels, 255 / white, dtype=np.float64), 255)
    if found.alpha is not None:
        alpha = found.alpha[..., None]
        scaled = np.minimum((scaled if found.multiplied else scaled * alpha) + 255 * (1 - alpha), 255)
    return np.round(scaled).astype(np.uint8)


def white_of_floats(high: float) -> float | None:
    """The level of white in floats up to `high`: they are shares, or levels of 8 or of 16 bits; None: none of these.

    A range of which less than half is used is not taken for theirs.
    """
    return next((white for white in (1.0, 255.0, 65535.0) if white == 1 or high > white / 2 if high <= white), None)


@contextmanager
def opened(item: Any, name: str) -> Iterator[Image.Image | Levels]:
    """What a reader gives for an image; Pillow's are not decoded yet.

    Args:
        item: uint8 array (H, W) or (H, W, 3), the bytes of a file, or the path of one.

    Raises:
        BadImageError: there is no such file, it is no image, it is too large, or what is done with it within raises;
            says its name.
    """
    if isinstance(item, np.ndarray):
        yield Image.fromarray(item)
        return
    with _explained(item, name), _file(item, name) as file:
        found = _reader(item, file).read(file)
        if found.size[0] * found.size[1] > LIMIT:
            raise TooLargeError
        yield found


@tried_again
def seen(item: Any, name: str, use: Callable[[Image.Image | Levels], T]) -> T:
    """What `use` makes of an image as a reader gives it; errors as of `opened`."""
    with opened(item, name) as found:
        return use(found)


@tried_again
def size_of(item: Any, name: str) -> tuple[int, int]:
    """Width and height of an image as stored; as `opened`."""
    if isinstance(item, np.ndarray):
        return item.shape[1], item.shape[0]
    with _explained(item, name), _file(item, name) as file:
        return _reader(item, file).size(file)


def _file(item: Any, name: str) -> BinaryIO:
    if isinstance(item, bytes):
        return io.BytesIO(item)
    if anywhere.is_elsewhere(item):
        return anywhere.opened(item)
    if not stat.S_ISREG(os.stat(item).st_mode):
        raise BadImageError(f"{name} is no file")  # a pipe would be waited for
    return open(item, "rb")


def _reader(item: Any, file: BinaryIO) -> Reader:
    head = file.read(HEAD)
    file.seek(0)
    return reader_of("" if isinstance(item, bytes) else os.path.splitext(item)[1], head)


@contextmanager
def _explained(item: Any, name: str) -> Iterator[None]:
    """Whatever is raised within, in one line with the name of the image."""
    try:
        yield
    except BadImageError:
        raise
    except UserError as error:
        raise BadImageError(f"{name} cannot be read: {error}") from None
    except UnidentifiedImageError:
        raise BadImageError(f"{name} is not an image that Pillow knows") from None
    except FileNotFoundError:
        raise BadImageError(f"no image file {anywhere.shown(item)}") from None
    except (TooLargeError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = f"more than {LIMIT:,} pixels, the limit for one image; scale it down"
        raise BadImageError(f"{name} has {limit}") from None
    except Exception as error:  # decoders raise what they like
        raise BadImageError(f"{name} cannot be decoded: {one_line(error)}") from None
