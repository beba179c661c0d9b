"""Readers: HEIC, DICOM, those of plug-ins; which one a file has; what a folder without an image is said to hold."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from sslkit.data import formats
from sslkit.data.image import Array, BadImageError, read_rgb
from sslkit.errors import UserError
from sslkit.plugins import load_plugin
from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.datasets.make import read

LEVELS = np.arange(-200, 824, 8).reshape(8, 16)  # as they are after slope and intercept
GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def dicom(pixels: Array, kind: str = "MONOCHROME2", **more: Any) -> bytes:
    """A DICOM file of (H, W) or (H, W, 3) uint16, int16 or uint8, uncompressed."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation, data.PixelRepresentation = kind, int(pixels.dtype.kind == "i")
    data.BitsAllocated = data.BitsStored = 8 * pixels.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelData = pixels.tobytes()
    for name, value in more.items():
        setattr(data, name, value)
    file = io.BytesIO()
    pydicom.dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


def windowed(levels: Array, center: float, width: float, function: str) -> Array:
    """Level by level as DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3 write it, to 0 to 255."""

    def one(x: float) -> float:
        if function == "SIGMOID":
            return 255 / (1 + np.exp(-4 * (x - center) / width))
        c, w = (center - 0.5, width - 1) if function == "LINEAR" else (center, width)
        if x <= c - w / 2:
            return 0
        return 255 if x > c + w / 2 else ((x - c) / w + 0.5) * 255

    return np.array([[one(float(x)) for x in row] for row in levels])


def grey_of(data: bytes) -> Array:
    return np.asarray(read_rgb(data, "it"))[..., 0].astype(float)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", ["", "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("several", [False, True])
def test_dicom_is_rescaled_and_windowed(kind: str, function: str, several: bool) -> None:
    stored = ((LEVELS + 1000) // 2).astype(np.uint16)  # slope 2, intercept -1000
    more: dict[str, Any] = {"VOILUTFunction": function} if function else {}
    more |= {"WindowCenter": [40, 300] if several else 40, "WindowWidth": [400, 900] if several else 400}
    found = grey_of(dicom(stored, kind, RescaleSlope=2, RescaleIntercept=-1000, **more))
    answer = windowed(stored.astype(float) * 2 - 1000, 40, 400, function or "LINEAR")
    assert np.abs(found - (255 - answer if kind == "MONOCHROME1" else answer)).max() <= 0.51


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_dicom_without_a_window_has_its_own_range(dtype: Any) -> None:
    stored = (np.arange(48).reshape(6, 8) * 3 + 7).astype(dtype)
    assert np.abs(grey_of(dicom(stored)) - (stored - 7) / 141 * 255).max() <= 0.51
    stored[0, 0] = 120  # stands for nothing, and is the range of nothing
    padded = stored.copy()
    padded[5, 7] = np.iinfo(dtype).max
    found = grey_of(dicom(padded, PixelPaddingValue=int(np.iinfo(dtype).max)))
    assert np.abs(found[:5] - (stored[:5] - stored.min()) / (145 - stored.min()) * 255).max() <= 0.51


def test_dicom_in_colour_and_with_several_frames() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(read_rgb(dicom(colours, "RGB"), "it")), colours)
    with pytest.raises(
        BadImageError, match="it cannot be decoded: ValueError: it holds 30 frames; write each as a file"
    ):
        read_rgb(dicom(GREY, NumberOfFrames=30), "it")


@pytest.mark.parametrize("bits", [8, 10])
def test_heic(bits: int) -> None:
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
    smooth = np.stack([x, y, (x + y) / 2], 2)
    mode, pixels = ("RGB", smooth * 255) if bits == 8 else ("RGB;16", smooth * 65535)
    file = io.BytesIO()
    pixels = np.round(pixels).astype(np.uint8 if bits == 8 else np.uint16)
    pillow_heif.from_bytes(mode, (64, 48), pixels.tobytes()).save(file, quality=95, chroma=444)
    assert np.abs(np.asarray(read_rgb(file.getvalue(), "it")) - smooth * 255).max() < 6


PLUGIN = '''
"""Squares of bytes behind a word."""
import numpy as np
from sslkit import register
from sslkit.reader import Levels, Reader

@register("reader", "{name}")
class Squares(Reader):
    suffixes = ("{suffix}",)

    def knows(self, head):
        return head.startswith(b"SQUARE{name}")

    def read(self, file):
        levels = np.frombuffer(file.read()[len(b"SQUARE{name}"):], "<u2")
        side = int(len(levels) ** 0.5)
        return Levels(levels.reshape(side, side, 1), 4095)
'''


def plugin(here: Path, name: str, suffix: str) -> Path:
    (here / f"{name}.py").write_text(PLUGIN.format(name=name, suffix=suffix))
    return here / f"{name}.py"


def squares(root: Path, names: tuple[str, ...], word: bytes) -> None:
    """Two classes of eight files, 12-bit levels."""
    draw = np.random.default_rng(0)
    for i, name in enumerate(names):
        file = root / f"{'dark' if i % 2 else 'light'}/{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(word + draw.integers(0, 4096, (8, 8)).astype("<u2").tobytes())


@pytest.mark.parametrize("suffix", [".sqr", "", ".png", ".20931"])
def test_a_plugin_reads_a_format_by_suffix_or_content(suffix: str, here: Path) -> None:
    squares(here / "d", tuple(f"f{i}{suffix}" for i in range(16)), b"SQUAREown")
    load_plugin(plugin(here, "own", ".sqr"))
    _, train, _ = read("folder", dir=str(here / "d"))
    assert len(train.images) == 16
    data = (here / f"d/light/f0{suffix}").read_bytes()
    expected = np.round(np.frombuffer(data[len(b"SQUAREown") :], "<u2").reshape(8, 8) * (255 / 4095))
    for item in (data, here / f"d/light/f0{suffix}"):
        assert np.array_equal(np.asarray(read_rgb(item, "it"))[..., 0], expected)


def test_a_plugin_reads_a_format_in_a_run_and_in_prediction(here: Path) -> None:
    squares(here / "d", tuple(f"f{i}.sqr" for i in range(16)), b"SQUAREown")
    own = plugin(here, "own", ".sqr")
    call = run("--plugin", own, "--data", "folder:d", "--labels", "2/class", "--json")
    assert call.code == 0, call.err
    predicted = sslkit("predict", folder_of(call, Path("runs")), "d", "--plugin", own, "--out", "p.csv", "--json")
    assert predicted.json["images"] == 16
    listed = sslkit("list", "readers", "--plugin", own, "--json").json["parts"]
    names = [row["name"] for row in listed]
    assert names == ["dicom", "heic", "pillow", "tiff", "own"]


def test_without_the_plugin_they_are_no_images(here: Path) -> None:
    squares(here / "d", tuple(f"f{i}.sqr" for i in range(16)), b"SQUAREown")
    assert_refused(run("--data", "folder:d", "--labels", "2/class"), "holds no image but 8 .sqr")


def test_two_readers_of_one_suffix_are_named(here: Path) -> None:
    for name in ("one", "two"):
        load_plugin(plugin(here, name, ".sqr"))
    squares(here / "d", ("a.sqr",), b"SQUAREone")
    with pytest.raises(BadImageError, match=r"the readers (one and two|two and one) both read \.sqr; leave one out"):
        read_rgb(here / "d/light/a.sqr", "a.sqr")


def test_the_answer_of_another_reader_is_not_taken(here: Path) -> None:
    """What is kept of a file was made by the reader that there was."""
    assert formats.added() == []
    load_plugin(plugin(here, "own", ".sqr"))
    (before,) = formats.added()
    assert str(here / "own.py") in before
    assert len(before.split()[-1]) == 64, "the hash of the file"


@pytest.mark.parametrize("seed", range(3))
def test_files_without_a_suffix_are_known_by_their_content(seed: int, here: Path) -> None:
    draw = random.Random(seed)
    made: list[str] = []
    for i in range(6):
        name = draw.choice(["IM{}", "1.2.840.113619.{}", "{}", "scan-{}"]).format(1000 * seed + i)
        image, file = Image.fromarray(GREY), here / f"d/{draw.choice(['cat', 'dog'])}/{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        form = draw.choice(["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000", "DICOM"])
        if form == "DICOM":
            file.write_bytes(dicom(GREY))
        else:
            image.save(file, form)
        made.append(file.relative_to(here / "d").as_posix())
    for name in ("cat", "dog"):
        (here / "d" / name).mkdir(exist_ok=True)
        (here / "d" / name / "README").write_text("no image")
        Image.fromarray(GREY).save(here / "d" / name / "z.png")
    _, train, _ = read("folder", dir=str(here / "d"))
    assert sorted(train.images) == sorted([*made, "cat/z.png", "dog/z.png"])


# What a folder without images holds.

KINDS = {
    "heic": ("a.heic", "b.HEIC", "c.heif"),
    "dicom": ("a.dcm", "b.DCM"),
    "tar": ("shard-0.tar", "shard-1.tar"),
    "others": ("notes.txt", "model.pt"),
    "bare": ("LICENSE",),
}
SAID = {
    "heic": ("2 .heic, 1 .heif", "pip install 'sslkit[heic]' reads .heic"),
    "dicom": ("2 .dcm", "pip install 'sslkit[dicom]' reads .dcm"),
    "tar": ("2 .tar", "unpack .tar"),
    "others": ("1 .pt, 1 .txt",),
    "bare": ("1 without a suffix", "no reader knows the content"),
}


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(formats, "_installed", lambda module: False)
    formats._suffixes.cache_clear()  # an earlier test may have asked for them
    yield
    formats._suffixes.cache_clear()


@pytest.mark.usefixtures("without_extras")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["", "cat", "train/cat"])
def test_a_folder_without_an_image_says_what_it_holds(kind: str, where: str, here: Path) -> None:
    (here / "d" / where).mkdir(parents=True)
    for name in KINDS[kind]:
        (here / "d" / where / name).write_bytes(b"x")
    assert_refused(sslkit("data", "folder:d"), "holds no image", *SAID[kind])


@pytest.mark.usefixtures("without_extras")
def test_what_reads_dicom_without_a_suffix_is_named(here: Path) -> None:
    for name in ("IM1", "IM2"):
        (here / "d/cat").mkdir(parents=True, exist_ok=True)
        (here / "d/cat" / name).write_bytes(dicom(GREY))
    with pytest.raises(
        UserError, match=r"cat holds no image but 2 .dcm by content; pip install 'sslkit\[dicom\]' reads"
    ):
        read("folder", dir=str(here / "d"))
    with pytest.raises(
        BadImageError, match=r"IM1 cannot be read: DICOM is read by pydicom: pip install 'sslkit\[dicom\]'"
    ):
        read_rgb(here / "d/cat/IM1", "IM1")
