"""TIFFs that Pillow reads amiss: those that are turned, by path; those where 0 is white, of 16 bits."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslkit.data.image import Array, read_rgb

GREY = np.arange(32, dtype=np.uint8).reshape(4, 8) * 7


@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA", "CMYK", "RGB"])
@pytest.mark.parametrize("turn", [1, 6, 8])
def test_a_turned_tiff_is_the_same_from_a_path_and_from_bytes(mode: str, turn: int, tmp_path: Path) -> None:
    """Pillow 13.0.0 scrambles an uncompressed one by path: findings/pillow-tiff-orientation-scrambles-by-path.sh."""
    image = Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(GREY).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = turn
    image.save(tmp_path / "x.tif", exif=exif)
    upright = np.rot90(GREY, {1: 0, 6: -1, 8: 1}[turn])
    for item in (tmp_path / "x.tif", (tmp_path / "x.tif").read_bytes()):
        assert apart(np.asarray(read_rgb(item, "x"))[..., 0], upright) <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("white_is_zero", [True, False])
def test_a_tiff_where_0_is_white_is_no_negative(dtype: type, white_is_zero: bool, tmp_path: Path) -> None:
    """Pillow 13.0.0 inverts it at 8 bits and not at 16: findings/tiff-white-is-zero-depends-on-depth.sh."""
    levels: Array = GREY.astype(dtype) * (257 if dtype is np.uint16 else 1)
    stored = np.iinfo(dtype).max - levels if white_is_zero else levels
    (tmp_path / "x.tif").write_bytes(tiff(stored.astype(dtype), 0 if white_is_zero else 1))
    for item in (tmp_path / "x.tif", (tmp_path / "x.tif").read_bytes()):
        assert apart(np.asarray(read_rgb(item, "x"))[..., 0], GREY) <= 1


def tiff(levels: Array, photometric: int) -> bytes:
    """A grey TIFF in one strip, written by hand: little-endian, uncompressed."""
    height, width = levels.shape
    data = levels.astype(levels.dtype.newbyteorder("<")).tobytes()
    values = {256: width, 257: height, 258: 8 * levels.itemsize, 259: 1, 262: photometric, 273: 8}
    values |= {277: 1, 278: height, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(values.items()))
    end = 8 + len(data)
    return struct.pack("<2sHI", b"II", 42, end) + data + struct.pack("<H", len(values)) + entries + bytes(4)


def apart(a: Array, b: Array) -> int:
    return int(np.abs(a.astype(int) - b).max())
