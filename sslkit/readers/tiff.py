"""TIFF of any depth and number of bands, by tifffile; 8 bits of grey, RGB, CMYK, palettes and the like, by Pillow."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from sslkit.reader import Array, Levels, Reader, check_size, upright
from sslkit.readers._deep import from_samples
from sslkit.registry import register

BITS, PHOTOMETRIC, ORIENTATION, SAMPLES, PLANES, EXTRA, FORMAT = 258, 262, 274, 277, 284, 338, 339
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, SEPARATED = 0, 1, 2, 5
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, 3: 1, 4: 1, SEPARATED: 4, 6: 3, 8: 3, 9: 3, 10: 3}
MULTIPLIED, OPACITY = 1, 2  # kinds of a further band that are transparency


@register("reader")
class Tiff(Reader):
    """The first page of a TIFF; 0 is black in what it gives, whatever it is in the file."""

    suffixes = (".tif", ".tiff")

    def knows(self, head: bytes) -> bool:
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def read(self, file: BinaryIO) -> Image.Image | Levels:
        image = _opened(file)
        if image and _plain(image):
            return image
        file.seek(0)
        return _levels(file)

    def size(self, file: BinaryIO) -> tuple[int, int]:
        image = _opened(file)
        if image:
            return image.size
        import tifffile

        file.seek(0)
        page: Any = tifffile.TiffFile(file).pages[0]
        return page.imagewidth, page.imagelength


def _opened(file: BinaryIO) -> Image.Image | None:
    try:
        return Image.open(file)
    except UnidentifiedImageError:  # many kinds that are deep
        return None


def _plain(image: Image.Image) -> bool:
    """Whether Pillow gives all that is in the file."""
    tags: Any = image.getexif()  # the tags of the file
    extra = tags.get(EXTRA, ())
    extra = extra if isinstance(extra, tuple) else (extra,)
    bits, kinds = (
        value if isinstance(value, tuple) else (value,) for value in (tags.get(BITS, 1), tags.get(FORMAT, 1))
    )
    more = tags.get(SAMPLES, 1) - COLOURS.get(tags.get(PHOTOMETRIC, -1), 0)
    pixel_by_pixel = tags.get(PLANES, 1) == 1  # planes with opacity are read amiss
    known = more == 0 or (more == 1 and extra[:1] == (OPACITY,) and pixel_by_pixel)
    return max(bits) <= 8 and {*kinds} == {1} and known


def _levels(file: BinaryIO) -> Levels:
    """Levels by tifffile.

    Raises:
        ValueError: it is of a kind that is not read, or a part is missing.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        check_size(page.imagewidth, page.imagelength)
        end = file.seek(0, 2)
        if any(at + count > end for at, count in zip(page.dataoffsets, page.databytecounts, strict=True)):
            raise ValueError("image file is truncated")
        kind, bits = int(page.photometric), page.bitspersample
        samples = page.asarray()
        orientation = page.tags[ORIENTATION].value if ORIENTATION in page.tags else 1
    if page.imagedepth > 1:
        raise ValueError(f"it is a volume of {page.imagedepth} slices; write each as an image")
    if page.samplesperpixel > 1 and page.planarconfig != 1:
        samples = np.moveaxis(samples, 0, -1)
    samples = upright(samples if samples.ndim == 3 else samples[..., None], orientation)
    if kind not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, SEPARATED):
        raise ValueError(f"a TIFF of {bits} bits whose photometric interpretation is {kind} is not read")
    white = _white(samples, bits)
    if kind in (WHITE_IS_ZERO, SEPARATED):
        if white is None:
            raise ValueError("a TIFF of floats in which 0 is white is not read")
        samples, kind = _of_light(samples, white, kind)
    extra = [int(one) for one in page.extrasamples[:1]]
    transparent = samples.shape[2] == COLOURS[kind] + 1 and extra in ([MULTIPLIED], [OPACITY])
    return from_samples(samples, white, transparent, "TIFF", extra == [MULTIPLIED])


def _of_light(samples: Array, white: float, kind: int) -> tuple[Array, int]:
    """Levels of which 0 is black, for those of which 0 is white, and their kind; inks become red, green and blue."""
    count = COLOURS[kind]
    light, rest = white - samples[..., :count].astype(np.float64), samples[..., count:]
    if kind == SEPARATED:
        light, kind = light[..., :3] * (light[..., 3:] / white), RGB
    else:
        kind = BLACK_IS_ZERO
    return np.concatenate([np.round(light).astype(samples.dtype), rest], 2), kind


def _white(samples: Array, bits: int) -> float | None:
    """The level of white by depth: 16 bits where there are more, as few files use those; None of floats."""
    if samples.dtype.kind == "f":
        return None
    if samples.dtype.kind not in "iu":
        raise ValueError(f"levels of type {samples.dtype} are not read")
    used = bits - 1 if samples.dtype.kind == "i" else bits
    return (1 << used) - 1 if bits <= 16 else 65535
