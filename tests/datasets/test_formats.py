"""Differential: files of all kinds that tifffile and imagecodecs write are read by us as by them, or refused by name.

The answers are the arrays that were written, scaled in float64; where a codec is lossy, what its decoder gives back.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from sslkit.data.image import PLAIN, Array, BadImageError, Tone, read_rgb
from tests.datasets.test_image_rules import png16

H, W = 9, 13  # no side is a multiple of a strip, a tile or eight
DRAW = np.random.default_rng(0)


def expected(bands: Array, white: float, alpha: Array | None = None) -> Array:
    """(H, W, 3) float64 on white, of colours (H, W, 1 or 3)."""
    share = np.minimum(np.asarray(bands, np.float64) / white, 1)
    share = share if alpha is None else share * alpha[..., None] + 1 - alpha[..., None]
    return np.broadcast_to(255 * share, (*share.shape[:2], 3))


def check(data: bytes | bytearray, answer: Array, tone: Tone = PLAIN, apart: float = 0.51) -> None:
    found = np.asarray(read_rgb(bytes(data), "it", tone)).astype(float)
    assert found.shape == answer.shape
    assert np.abs(found - answer).max() <= apart


def noise(bands: int, dtype: Any, white: float) -> Array:
    """(H, W, bands) levels, black and white among them."""
    drawn = DRAW.random((H, W, bands))
    drawn[0, 0], drawn[0, 1] = 0, 1
    return (drawn * white).astype(dtype) if np.dtype(dtype).kind == "f" else np.round(drawn * white).astype(dtype)


# TIFF: depth x photometric and bands x planar or not x compression x predictor x order of bytes x tiles.

DEPTHS: dict[str, tuple[Any, float]] = {
    "8": (np.uint8, 255),
    "16": (np.uint16, 65535),
    "signed 16": (np.int16, 32767),
    "32": (np.uint32, 65535),
    "half": (np.float16, 1),
    "float": (np.float32, 1),
    "double": (np.float64, 1),
}
KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "grey": (1, {"photometric": "minisblack"}),
    "white is zero": (1, {"photometric": "miniswhite"}),
    "RGB": (3, {"photometric": "rgb"}),
    "RGB and opacity": (4, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    "RGB, multiplied": (4, {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
    "grey and opacity": (2, {"photometric": "minisblack", "extrasamples": ["unassalpha"]}),
    "RGB and another": (4, {"photometric": "rgb", "extrasamples": ["unspecified"]}),
    "two": (2, {"photometric": "minisblack", "extrasamples": ["unspecified"]}),
    "five": (5, {"photometric": "minisblack", "extrasamples": ["unspecified"] * 4}),
    "RGB and two": (5, {"photometric": "rgb", "extrasamples": ["unspecified"] * 2}),
    "inks": (4, {"photometric": "separated"}),
}
FORMS: list[dict[str, Any]] = [
    {},
    {"byteorder": ">"},
    {"compression": "zlib", "predictor": True},
    {"compression": "lzw"},
    {"compression": "zstd", "tile": (16, 16)},
    {"rowsperstrip": 2, "compression": "packbits"},
    {"bigtiff": True},
]


def tiffs() -> Iterator[Any]:
    """The grid; every day a form of each, in turn."""
    cells = [
        c for c in itertools.product(DEPTHS, KINDS, ("contig", "separate")) if c[2] == "contig" or KINDS[c[1]][0] > 1
    ]
    for i, (depth, kind, planar) in enumerate(cells):
        for form, how in enumerate(FORMS):
            marks = [] if form == i % len(FORMS) else [pytest.mark.slow]
            yield pytest.param(depth, kind, planar, how, id=f"{depth}, {kind}, {planar}, {form}", marks=marks)


def tiff(samples: Array, planar: str, **how: Any) -> bytes:
    file = io.BytesIO()
    pixels = samples[..., 0] if samples.shape[2] == 1 else samples
    if planar == "separate" and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, -1, 0)
    more: dict[str, Any] = {"planarconfig": planar} if pixels.ndim == 3 else {}
    tifffile.imwrite(file, pixels, metadata=None, **more, **how)
    return file.getvalue()


def refused(kind: str, depth: str) -> str:
    """Why a TIFF of a kind is refused, or ""."""
    if kind in ("RGB and another", "two", "five", "RGB and two"):
        return f"it has {KINDS[kind][0]} bands; data.bands"
    return "floats in which 0 is white" if kind in ("white is zero", "inks") and DEPTHS[depth][1] == 1 else ""


@pytest.mark.parametrize(("depth", "kind", "planar", "form"), [*tiffs()])
def test_tiff(depth: str, kind: str, planar: str, form: dict[str, Any]) -> None:
    dtype, white = DEPTHS[depth]
    count, how = KINDS[kind]
    samples, alpha = noise(count, dtype, white), None
    if "multiplied" in kind:
        samples[..., :3] = np.minimum(samples[..., :3], samples[..., 3:])
    try:
        data = tiff(samples, planar, **how, **form)
    except (ValueError, RuntimeError, NotImplementedError, imagecodecs.DelayedImportError) as error:
        pytest.skip(f"tifffile does not write it: {error}")
    if said := refused(kind, depth):
        with pytest.raises(BadImageError, match=f"^it cannot be decoded: .*{said}"):
            read_rgb(data, "it")
        return
    colours = samples.astype(np.float64)
    if kind == "white is zero":
        colours = white - colours
    elif kind == "inks":
        colours = (white - colours[..., :3]) * (1 - colours[..., 3:] / white)
    elif count in (2, 4):
        colours, alpha = colours[..., :-1], colours[..., -1] / white
    if "multiplied" in kind:
        assert alpha is not None
        answer = np.minimum(255 * (colours / white + 1 - alpha[..., None]), 255)
        check(data, answer, apart=1.01 if depth != "8" else 2.01)  # 8 bits: Pillow divides and multiplies in 8 bits
        return
    check(
        data,
        expected(colours, white, alpha),
        apart=2.01 if depth == "8" and (alpha is not None or kind == "inks") else 0.51,
    )


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_a_tiff_of_packed_bits(bits: int) -> None:
    """Levels without gaps between them, written by hand: tifffile writes none of one band."""
    samples = noise(1, np.uint16, (1 << bits) - 1)
    rows = b"".join(imagecodecs.packints_encode(row, bits) for row in samples[..., 0])
    tags = {256: W, 257: H, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: H, 279: len(rows)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(rows))
    data = head + rows + struct.pack("<H", len(tags)) + entries + bytes(4)
    check(data, expected(samples, (1 << bits) - 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_deep_tiff_is_turned(orientation: int) -> None:
    upright = noise(3, np.uint16, 65535)
    shown = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1]}
    turned = np.rot90(upright)  # a quarter to the left: 6 turns it back to the right
    shown |= {6: turned, 8: np.rot90(upright, -1), 5: upright.transpose(1, 0, 2), 7: turned[:, ::-1][::-1, ::-1]}
    shown[7] = np.rot90(upright, 2).transpose(1, 0, 2)
    data = tiff(
        np.ascontiguousarray(shown[orientation]),
        "contig",
        photometric="rgb",
        extratags=[(274, 3, 1, orientation, True)],
    )
    check(data, expected(upright, 65535))


# PNG: depth x bands x a transparent colour.


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("clear", [False, True])
def test_a_png_of_16_bits(bands: int, clear: bool) -> None:
    samples = noise(bands, np.uint16, 65535)
    data = png16(samples)
    if clear and bands in (2, 4):
        return  # such files have no transparent colour
    if clear:
        body = samples[4, 5].astype(">u2").tobytes()
        chunk = struct.pack(">I", len(body)) + b"tRNS" + body + struct.pack(">I", zlib.crc32(b"tRNS" + body))
        at = data.index(b"IDAT") - 4
        data = data[:at] + chunk + data[at:]
    alpha = samples[..., -1] / 65535 if bands in (2, 4) else None
    colours = samples[..., :-1] if bands in (2, 4) else samples
    alpha = 1.0 - (samples == samples[4, 5]).all(2) if clear else alpha
    check(data, expected(colours, 65535, alpha))


# JPEG 2000, AVIF, WebP.


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 15, 16])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("container", ["jp2", "j2k"])
def test_jpeg_2000(bits: int, bands: int, container: str) -> None:
    samples = noise(bands, np.uint8 if bits == 8 else np.uint16, (1 << bits) - 1)
    pixels = samples[..., 0] if bands == 1 else samples
    data = imagecodecs.jpeg2k_encode(pixels, level=0, bitspersample=bits, reversible=True, codecformat=container)
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(data).reshape(samples.shape), samples)
    if bands in (1, 3):
        check(data, expected(samples, (1 << bits) - 1))
        return
    with pytest.raises(BadImageError, match=f"it has {bands} bands; data.bands"):  # it names none as opacity
        read_rgb(data, "it")
    check(data, expected(samples[..., :1], (1 << bits) - 1), Tone(bands=(1,)))


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_avif(bits: int, bands: int) -> None:
    white = (1 << bits) - 1
    samples = noise(bands, np.uint8 if bits == 8 else np.uint16, white)
    how: dict[str, Any] = {} if bands == 1 else {"pixelformat": "444"}
    data = imagecodecs.avif_encode(
        samples[..., 0] if bands == 1 else samples, level=100, speed=10, bitspersample=bits, **how
    )
    back = imagecodecs.avif_decode(data)
    back = back if back.ndim == 3 else back[..., None]
    alpha = back[..., 3] / white if bands == 4 else None
    check(data, expected(back[..., :3], white, alpha), apart=1.01)


@pytest.mark.parametrize("bands", [3, 4])
def test_webp(bands: int) -> None:
    samples = noise(bands, np.uint8, 255)
    data = imagecodecs.webp_encode(samples, lossless=True)
    back = imagecodecs.webp_decode(data)
    check(data, expected(back[..., :3], 255, back[..., 3] / 255 if bands == 4 else None), apart=1.01)


@pytest.mark.parametrize("maxval", [511, 1023, 4095, 65535])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("plain", [False, True])
def test_a_portable_map_of_more_than_8_bits(maxval: int, bands: int, plain: bool) -> None:
    samples = noise(bands, np.uint16, maxval)
    kind = {(1, True): 2, (3, True): 3, (1, False): 5, (3, False): 6}[bands, plain]
    body = " ".join(map(str, samples.ravel())).encode() if plain else samples.astype(">u2").tobytes()
    data = f"P{kind}\n{W} {H}\n{maxval}\n".encode() + body
    check(data, expected(samples, maxval))
    check(data, expected(samples, 300), Tone(white=300))
