"""One image, from whatever it is stored as to uint8 RGB; the same for training, test and prediction."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sslkit.errors import UserError, one_line

Array = np.ndarray[Any, Any]
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")  # in any case


def read_rgb(item: Any, name: str) -> Image.Image:
    """One whole image, decoded, upright, in three channels of 8 bits.

    Args:
        item: as of `open_image`.

    Raises:
        UserError: it cannot be decoded; says its name.
    """
    image = open_image(item, name)
    try:
        return _eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
    except Exception as error:  # decoders raise what they like
        raise UserError(f"{name} cannot be decoded: {one_line(error)}") from None


def middle(image: Image.Image, size: int) -> Array:
    """(3, size, size) uint8: the middle square, resized (bicubic)."""
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return planes(image)


def planes(image: Image.Image) -> Array:
    """(3, H, W) uint8 of an RGB image."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def to_pixels(item: Any, size: int, name: str) -> Array:
    """One image as (3, size, size) uint8.

    Raises:
        UserError: it cannot be decoded; says its name.
    """
    return middle(read_rgb(item, name), size)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits are scaled by depth; Pillow itself would clip them to white."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))


def open_image(item: Any, name: str) -> Image.Image:
    """An image as Pillow reads it, not decoded yet.

    Args:
        item: uint8 array (H, W) or (H, W, 3), the bytes of a file, or the path of one.

    Raises:
        UserError: there is no such file, or it is no image; says its name.
    """
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
