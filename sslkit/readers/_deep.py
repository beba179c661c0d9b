"""Images of more than 8 bits in formats that Pillow reads in 8 bits, or amiss: findings/ shows that.

imagecodecs decodes them; how deep they are stands in their headers.
"""

from __future__ import annotations

import io
import re
import struct
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from sslkit.reader import Array, Levels, check_size, upright

ORIENTATION = 274
SIZ = b"\xff\x4f\xff\x51"  # how a JPEG 2000 codestream begins
CMYK, SYCC = 12, 18  # colour spaces of a JPEG 2000 container


def deep(image: Image.Image, file: BinaryIO) -> Levels | None:
    """The levels of an image that Pillow has opened, where they are deeper than 8 bits or no grey or RGB; else None.

    Raises:
        ValueError: its kind is not read.
    """
    tiles: Any = getattr(image, "tile", ())  # what is given to Pillow's decoders
    match image.format:
        case "PNG" if any(";16" in str(tile.args) for tile in tiles):
            return _png(_all(file))
        case "AVIF":
            return _avif(image, _all(file))
        case "PPM" if tiles and _maxval(tiles[0].args) > 255:
            return _portable(image, tiles[0], _all(file))
    if image.mode == "F" or image.mode.startswith("I"):
        levels = np.asarray(image)[..., None]
        return Levels(_turned(image, levels), None if image.mode == "F" else 65535, form=image.format or "")
    return None


def from_samples(samples: Array, white: float | None, has_alpha: bool, form: str, multiplied: bool = False) -> Levels:
    """Levels of (H, W) or (H, W, n) samples, of which the last band may be opacity.

    Args:
        multiplied: colours were multiplied by it.

    Raises:
        ValueError: opacity goes beyond what is opaque.
    """
    bands = samples if samples.ndim == 3 else samples[..., None]
    if not has_alpha:
        return Levels(bands, white, form=form)
    bands, alpha = bands[..., :-1], np.divide(bands[..., -1], white or 1, dtype=np.float64)
    if not (alpha.min() >= 0 and alpha.max() <= 1):
        raise ValueError(f"its opacity goes from {alpha.min():g} to {alpha.max():g} and not from 0 to 1")
    return Levels(bands, white, alpha, form, multiplied)


def _all(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _turned(image: Image.Image, pixels: Array) -> Array:
    return upright(pixels, image.getexif().get(ORIENTATION, 1))


def _png(data: bytes) -> Levels:
    import imagecodecs

    samples = imagecodecs.png_decode(data)  # a transparent colour has become opacity
    with Image.open(io.BytesIO(data)) as image:
        image.load()  # what stands behind the pixels, too
        samples = _turned(image, samples)
    return from_samples(samples, 65535, samples.ndim == 3 and samples.shape[2] in (2, 4), "PNG")


def jpeg2000(data: bytes) -> Levels | None:
    """The levels of a JPEG 2000 file, where they are deeper than 8 bits or no grey or RGB; None: Pillow reads it right.

    Raises:
        ValueError: its kind is not read.
    """
    at = data.find(SIZ)
    if at < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    check_size(right - left, bottom - top)
    (count,) = struct.unpack_from(">H", data, at + 40)
    depths = {depth + 1 for depth in data[at + 42 : at + 42 + 3 * count : 3]}
    space, types = _container(data[:at])
    opaque = types.get(count - 1, 0) not in (1, 2)
    colours = count if opaque else count - 1
    if depths == {8} and (colours in (1, 3) or space == CMYK):
        return None
    if len(depths) > 1 or max(depths) > 16 or space in (CMYK, SYCC):
        raise ValueError(f"its colour space {space} of {sorted(depths)} bits is not read in JPEG 2000")
    import imagecodecs

    samples = imagecodecs.jpeg2k_decode(data)
    return from_samples(samples, (1 << max(depths)) - 1, not opaque, "JPEG2000", types.get(count - 1) == 2)


def _container(header: bytes) -> tuple[int, dict[int, int]]:
    """Colour space by its number, 0 where none is said, and the type of each channel, 1 and 2 for opacity."""
    colour, channels = header.find(b"colr\x01"), header.find(b"cdef")
    space = struct.unpack_from(">I", header, colour + 7)[0] if colour >= 0 else 0
    if channels < 0:
        return space, {}
    (count,) = struct.unpack_from(">H", header, channels + 4)
    triples = [struct.unpack_from(">HHH", header, channels + 6 + 6 * i) for i in range(count)]
    return space, {channel: kind for channel, kind, _ in triples}


def _avif(image: Image.Image, data: bytes) -> Levels | None:
    at = data.find(b"av1C")
    flags = data[at + 6] if at >= 0 else 0
    if not flags & 0x40:
        return None
    import imagecodecs

    samples = _turned(image, imagecodecs.avif_decode(data, index=0))
    return from_samples(
        samples, 4095 if flags & 0x20 else 1023, samples.ndim == 3 and samples.shape[2] in (2, 4), "AVIF"
    )


def _maxval(args: Any) -> int:
    """White of a PNM file, of what Pillow's decoder is given; 255 where it is given no such thing."""
    return args[1] if isinstance(args, tuple) and len(args) > 1 and isinstance(args[1], int) else 255


def _portable(image: Image.Image, tile: Any, data: bytes) -> Levels:
    shape, body = (image.height, image.width, len(image.getbands())), data[tile.offset :]
    if tile.codec_name == "ppm_plain":
        words = re.sub(rb"#[^\n]*", b"", body).split()
        samples = np.array(words[: int(np.prod(shape))], np.int64).astype(np.uint16)
    else:
        samples = np.frombuffer(body, ">u2", int(np.prod(shape))).astype(np.uint16)
    return Levels(samples.reshape(shape), _maxval(tile.args), form="PPM")
