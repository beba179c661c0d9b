"""One image, from whatever it is stored as to uint8 RGB; the same for training, test and prediction."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from sslkit.errors import UserError, one_line
from sslkit.store.drives import tried_again

Array = np.ndarray[Any, Any]
# in any case of letters; what else Pillow reads (.ico, .psd, .pdf, …) is seldom a photograph
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp", ".tif", ".tiff"),
    *(".webp", ".gif", ".jp2"),
    *((".avif",) if features.check("avif") else ()),  # Pillow's wheels from 11.3 on: python-pillow/Pillow#8959
)
PAPER = (255, 255, 255, 255)  # what transparent images are laid on
PHOTOMETRIC = 262  # the tag that says what 0 is
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
LIMIT = 89_478_485  # pixels of one image, Pillow's own limit for a decompression bomb

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # `open_image` says it in its own words


class BadImageError(UserError):
    """An image that cannot be read; the message names it."""


@dataclass(frozen=True)
class Square:
    """What is made of an image: its middle square, scaled."""

    size: int  # side in pixels
    crop: float = 1.0  # side before it is scaled, as a share of the image's short side
    interpolation: str = "bicubic"  # or "bilinear", both with antialiasing


def to_pixels(item: Any, square: Square, name: str) -> Array:
    """One image as (3, size, size) uint8: its `middle`.

    Raises:
        BadImageError: it cannot be decoded; says its name.
    """
    side = square.size
    if isinstance(item, np.ndarray) and item.shape in ((side, side), (side, side, 3)) and square.crop == 1:
        colours = item if item.ndim == 3 else item[..., None].repeat(3, 2)
        return np.ascontiguousarray(colours.transpose(2, 0, 1))  # there is nothing to decode
    return middle(read_rgb(item, name), square)


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
def read_rgb(item: Any, name: str) -> Image.Image:
    """A whole image, upright, in RGB; docs/data.md lists what becomes of each mode.

    Args:
        item: as for `open_image`.

    Raises:
        BadImageError: it cannot be decoded; says its name.
    """
    try:
        with open_image(item, name) as image:
            image.load()
            return _rgb(_upright(image), _white_is_zero(image))
    except BadImageError:
        raise
    except Exception as error:  # decoders raise what they like
        raise BadImageError(f"{name} cannot be decoded: {one_line(error)}") from None


def _upright(image: Image.Image) -> Image.Image:
    """Turned as EXIF says."""
    turned = ImageOps.exif_transpose(image)
    assert turned is not None, "only with in_place"
    return turned


def _white_is_zero(image: Image.Image) -> bool:
    """Whether 0 is white in a TIFF of more than 8 bits, where Pillow takes it for black (findings/ shows that)."""
    return image.format == "TIFF" and image.mode.startswith("I") and image.getexif().get(PHOTOMETRIC) == 0


def _rgb(image: Image.Image, white_is_zero: bool) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        grey = _eight_bits(np.asarray(image), image.mode)
        return Image.fromarray(255 - grey if white_is_zero else grey).convert("RGB")
    if image.has_transparency_data:
        return Image.alpha_composite(Image.new("RGBA", image.size, PAPER), image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _eight_bits(levels: Array, mode: str) -> Array:
    """uint8 of deeper greys, scaled by depth; Pillow itself would clip them to white (python-pillow/Pillow#3159).

    Integers have 16 bits. Floats are from 0 to 1, else from 0 to 255 as 8 bits, else from 0 to 65535 as 16 bits.

    Raises:
        ValueError: levels that no such depth has.
    """
    low, high = float(levels.min()), float(levels.max())
    white = next((w for w in (1, 255, 65535) if high <= w), None) if mode == "F" else 65535
    if white is None or not (low >= 0 and high <= white):
        raise ValueError(f"its levels go from {low:g} to {high:g}; levels are from 0 to 65535, or from 0 to 1")
    return np.round(levels * (255 / white)).astype(np.uint8)


@tried_again
def open_image(item: Any, name: str) -> Image.Image:
    """An image as Pillow reads it, not decoded yet.

    Args:
        item: uint8 array (H, W) or (H, W, 3), the bytes of a file, or the path of one.

    Raises:
        BadImageError: there is no such file, it is no image, or it is too large; says its name.
    """
    if isinstance(item, np.ndarray):
        return Image.fromarray(item)
    if not isinstance(item, bytes) and not os.path.isfile(item) and os.path.exists(item):
        raise BadImageError(f"{name} is no file")  # a pipe would be waited for
    try:
        image = Image.open(io.BytesIO(item) if isinstance(item, bytes) else item)
        if image.format == "TIFF" and not isinstance(item, bytes):  # by path Pillow scrambles some that are turned
            image.close()
            image = Image.open(io.BytesIO(Path(item).read_bytes()))
    except UnidentifiedImageError:
        raise BadImageError(f"{name} is not an image that Pillow knows") from None
    except FileNotFoundError:
        raise BadImageError(f"no image file {item}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name) from None
    except Exception as error:
        raise BadImageError(f"{name} cannot be decoded: {one_line(error)}") from None
    if image.width * image.height > LIMIT:
        image.close()
        raise _too_large(name)
    return image


def _too_large(name: str) -> BadImageError:
    return BadImageError(f"{name} has more than {LIMIT:,} pixels, the limit for one image; scale it down")
