"""One rule for every kind of image: orientation, transparency, palettes, CMYK, depth, animations, sizes, damage."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sslkit import reader
from sslkit.data import image as rules
from sslkit.data.image import BadImageError, Square, read_rgb, to_pixels

Array = np.ndarray[Any, Any]


def levels(channels: int = 3, side: int = 6) -> Array:
    """(side, side, channels) uint8 noise."""
    return np.random.default_rng(channels).integers(0, 256, (side, side, channels), dtype=np.uint8)


def read(image: Image.Image | bytes, form: str = "PNG", **options: Any) -> Array:
    """(H, W, 3), as the loader reads an encoded image."""
    if isinstance(image, bytes):
        data = image
    else:
        file = io.BytesIO()
        image.save(file, form, **options)
        data = file.getvalue()
    return np.asarray(read_rgb(data, "it"))


def png16(pixels: Array) -> bytes:
    """A PNG of 16 bits a channel, which Pillow itself cannot write in colour. pixels: (H, W, 1..4) uint16."""
    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(pixels: Array, order: str = "<") -> bytes:
    """An uncompressed TIFF. pixels: (H, W, 1 or 3) of uint8, uint16, int32 or float32."""
    height, width, channels = pixels.shape
    bits, kind = 8 * pixels.itemsize, {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    at = 8 + 2 + 11 * 12 + 4  # header, number of tags, tags, end of the list

    def tag(number: int, *values: int, long: bool = False) -> bytes:
        if len(values) == 3:  # does not fit into the tag: beside the end of the list
            return struct.pack(f"{order}HHII", number, 3, 3, at + (0 if number == 258 else 6))
        value = struct.pack(f"{order}I", values[0]) if long else struct.pack(f"{order}HH", values[0], 0)
        return struct.pack(f"{order}HHI", number, 4 if long else 3, 1) + value

    tags = [
        tag(256, width),
        tag(257, height),
        tag(258, *[bits] * channels),
        tag(259, 1),
        tag(262, 1 if channels == 1 else 2),
        tag(273, at + 12, long=True),
        tag(277, channels),
        tag(278, height),
        tag(279, pixels.nbytes, long=True),
        tag(284, 1),
        tag(339, *[kind] * channels),
    ]
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", len(tags))
    shorts = struct.pack(f"{order}3H", *[bits] * 3) + struct.pack(f"{order}3H", *[kind] * 3)
    return (
        head
        + b"".join(tags)
        + struct.pack(f"{order}I", 0)
        + shorts
        + pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    )


def grey(pixels: Array) -> Array:
    """(H, W, 1) as three equal channels."""
    return np.repeat(pixels, 3, axis=2)


# Depth: an 8-bit image times 257 gives the same.


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("form", ["png", "tiff", "tiff, big-endian"])
def test_sixteen_bits_are_scaled_by_depth(channels: int, form: str) -> None:
    eight = levels(channels)
    deep = eight.astype(np.uint16) * 257
    data = png16(deep) if form == "png" else tiff(deep, ">" if "big" in form else "<")
    assert np.array_equal(read(data), grey(eight) if channels == 1 else eight)


def test_every_level_of_sixteen_bits_is_within_one_of_its_share() -> None:
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    for data in (png16(deep), tiff(deep), png16(np.repeat(deep, 3, 2)), tiff(np.repeat(deep, 3, 2))):
        assert np.abs(read(data) - deep / 257).max() < 1


def test_sixteen_bits_with_transparency() -> None:
    eight = levels(4)
    eight[..., 3] = 255
    assert np.array_equal(read(png16(eight.astype(np.uint16) * 257)), eight[..., :3])


def test_a_pgm_of_sixteen_bits() -> None:
    eight = levels(1)
    data = b"P5 6 6 65535\n" + (eight.astype(">u2") * 257).tobytes()
    assert np.array_equal(read(data), grey(eight))


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_by_the_range_that_holds_them(white: int) -> None:
    eight = levels(1)
    eight[0, 0] = 255
    assert np.array_equal(read(tiff((eight * (white / 255)).astype(np.float32))), grey(eight))


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((2, 2, 1), -0.5, np.float32),
        np.full((2, 2, 1), 70000, np.float32),
        np.full((2, 2, 1), np.nan, np.float32),
        np.full((2, 2, 1), np.inf, np.float32),
        np.full((2, 2, 1), 70000, np.int32),
        np.full((2, 2, 1), -1, np.int32),
    ],
    ids=["below 0", "above", "nan", "inf", "more bits", "below 0, integers"],
)
def test_levels_of_no_known_depth_are_refused(pixels: Array) -> None:
    with pytest.raises(BadImageError, match=r"it cannot be decoded: .* its levels go from"):
        read(tiff(pixels))


# Modes.


def test_one_bit_grey_and_grey_with_alpha() -> None:
    bits = levels(1)[..., 0] > 127
    assert np.array_equal(read(Image.fromarray(bits)), grey(bits[..., None] * np.uint8(255)))
    assert np.array_equal(read(Image.fromarray(levels(1)[..., 0])), grey(levels(1)))
    both = Image.fromarray(np.dstack([levels(1), np.full((6, 6), 255, np.uint8)]), "LA")
    assert np.array_equal(read(both), grey(levels(1)))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_transparent_images_are_laid_on_white(form: str) -> None:
    pixels = levels(4)
    expected = np.round(pixels[..., :3] * (pixels[..., 3:] / 255) + 255 * (1 - pixels[..., 3:] / 255))
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    found = read(Image.fromarray(pixels, "RGBA"), form, **options)
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_colour_that_stands_for_transparent_is_white(mode: str) -> None:
    image = Image.new("RGB", (4, 4), (10, 10, 10))
    image.putpixel((0, 0), (200, 200, 200))
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    dark = image.getpixel((3, 3))
    found = read(image, "PNG", transparency=dark)
    assert found[3, 3].tolist() == [255, 255, 255]
    assert found[0, 0].tolist() == [200, 200, 200]


def test_palettes_are_their_colours() -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 99, 199]], np.uint8)
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) % 4, "P")
    image.putpalette(colours.ravel().tolist())
    assert np.array_equal(read(image), colours[np.arange(16).reshape(4, 4) % 4])
    assert np.array_equal(read(image, "GIF"), colours[np.arange(16).reshape(4, 4) % 4])


INKS = {
    "red": ((0, 255, 255, 0), (255, 0, 0)),
    "green": ((255, 0, 255, 0), (0, 255, 0)),
    "blue": ((255, 255, 0, 0), (0, 0, 255)),
    "white": ((0, 0, 0, 0), (255, 255, 255)),
    "black": ((0, 0, 0, 255), (0, 0, 0)),
}


@pytest.mark.parametrize("colour", INKS)
@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_inks_have_their_colours(colour: str, form: str) -> None:
    inks, expected = INKS[colour]
    file = io.BytesIO()
    Image.new("CMYK", (16, 16), inks).save(file, form, **({"quality": 95} if form == "JPEG" else {}))
    if form == "JPEG":
        assert b"Adobe" in file.getvalue(), "whose inks are stored inverted"
    assert np.abs(read(file.getvalue()) - expected).max() <= 3


# Orientation.

TURNS = {1: 0, 3: 2, 6: 3, 8: 1}  # EXIF's number -> quarter turns to the left that make it upright
FLIPS = {2: 0, 4: 2, 5: 3, 7: 1}  # the same, then mirrored


@pytest.mark.parametrize("number", [*TURNS, *FLIPS])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_images_are_turned_as_exif_says(number: int, form: str) -> None:
    upright = np.zeros((24, 16, 3), np.uint8)
    upright[:12, :8] = 255  # one corner
    stored = np.rot90(upright[:, ::-1] if number in FLIPS else upright, -(TURNS | FLIPS)[number])
    exif = Image.Exif()
    exif[274] = number
    found = read(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 10


# Several frames, limits.


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_read(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    found = read(
        frames[0], form, save_all=True, append_images=frames[1:], **({"lossless": True} if form == "WEBP" else {})
    )
    assert np.abs(found.reshape(-1, 3).astype(int) - (255, 0, 0)).max() <= 1


def test_an_image_beyond_the_limit_is_named_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, size in ((30_000, (200, 200)), (10_000, (101, 100))):  # more than Pillow's own double limit, and less
        monkeypatch.setattr(rules, "LIMIT", limit)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(BadImageError, match=f"it has more than {limit:,} pixels, the limit"):
                read(Image.new("L", size))
    assert read(Image.new("L", (100, 100))).shape == (100, 100, 3)


def test_the_limit_is_pillows() -> None:
    assert Image.MAX_IMAGE_PIXELS == reader.LIMIT


# Damage.


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_file_is_named(form: str, share: float, tmp_path: Path) -> None:
    file = tmp_path / "a [red] b.img"
    Image.fromarray(levels(3, 64)).save(file, form)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadImageError) as caught:
        to_pixels(file, Square(8), "a [red] b.img")
    assert str(caught.value).startswith("a [red] b.img ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<html>not found</html>", b"\xff\xd8\xff"])
def test_what_is_no_image_is_named(data: bytes) -> None:
    with pytest.raises(BadImageError, match="it is not an image that Pillow knows"):
        read(data)


def test_files_are_closed(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        to_pixels(tmp_path / "a.gif", Square(8), "a.gif")


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 3)])
def test_an_array_of_the_right_size_is_taken_as_it_is(shape: tuple[int, ...]) -> None:
    """As its PNG is, which goes through Pillow."""
    array = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    expected = to_pixels(file.getvalue(), Square(6), "it")
    np.testing.assert_array_equal(to_pixels(array, Square(6), "it"), expected)
    assert to_pixels(array, Square(6), "it").shape == (3, 6, 6)
