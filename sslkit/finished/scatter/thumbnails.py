"""Small pictures of many images, in sheets that a browser decodes when one of them is shown; and single pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from sslkit.data.image import Array
from sslkit.data.on_demand import Pixels, in_turn

SIDE = 64  # pixels of a thumbnail, at most
ACROSS = 16  # thumbnails in a row of a sheet, and rows
BLOCK = 8  # JPEG, with colour in full resolution, codes blocks by themselves: whole ones take nothing of the next
SMALL = 64  # images of this side and below are kept without loss
JPEG, THUMBNAIL = 90, 75  # qualities


def cell(side: int) -> int:
    """How far apart thumbnails lie in a sheet, of images with this side: whole blocks."""
    return -(-min(side, SIDE) // BLOCK) * BLOCK


def sheets(pixels: Pixels) -> Iterator[bytes]:
    """JPEGs of `ACROSS` by `ACROSS` thumbnails each, row by row, of uint8 images (N, 3, S, S)."""
    side, step = min(int(pixels.shape[2]), SIDE), cell(int(pixels.shape[2]))
    for images in in_turn(pixels, _parts(len(pixels), ACROSS**2)):
        rows = -(-len(images) // ACROSS)
        sheet = np.zeros((rows * step, ACROSS * step, 3), np.uint8)
        for k, image in enumerate(images.numpy()):
            top, left = k // ACROSS * step, k % ACROSS * step
            small = np.asarray(_picture(image).resize((side, side), Image.Resampling.BOX, reducing_gap=2.0))
            sheet[top : top + step, left : left + step] = np.pad(small, [(0, step - side)] * 2 + [(0, 0)], "edge")
        yield _saved(Image.fromarray(sheet), "JPEG", quality=THUMBNAIL, subsampling=0)


def pictures(pixels: Pixels) -> Iterator[bytes]:
    """Each of uint8 images (N, 3, S, S) as a file: PNG up to a side of `SMALL`, above it JPEG."""
    lossless = pixels.shape[2] <= SMALL
    for images in in_turn(pixels, _parts(len(pixels), 256)):
        for image in map(_picture, images.numpy()):
            yield _saved(image, "PNG") if lossless else _saved(image, "JPEG", quality=JPEG)


def _parts(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def _picture(image: Array) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))


def _saved(image: Image.Image, form: str, **how: int) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **how)
    return file.getvalue()
