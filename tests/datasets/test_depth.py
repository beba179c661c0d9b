"""Images of more than 8 bits as a data set: which level is white, what is said of it, and that all places agree."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from sslkit.config.resolve import build
from sslkit.data.image import Array
from sslkit.errors import UserError
from sslkit.finished import load
from sslkit.prepare import Prepared, prepare
from sslkit.store import read_json
from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.datasets.test_image_rules import png16
from tests.kernel.make import TINY

SIDE, EACH = 12, 8  # pixels, and images of each of two classes


def stored(
    root: Path, low: float, high: float, dtype: Any, bands: int = 3, write: Callable[[Array], bytes] | None = None
) -> list[Array]:
    """Two class folders of noise from `low` to `high`, both of them in every image; in the order of names."""
    draw, images = np.random.default_rng(3), []
    for i in range(2 * EACH):
        levels = low + draw.random((SIDE, SIDE, bands)) * (high - low)
        levels[0, 0], levels[0, 1] = low, high
        levels = levels.astype(dtype) if np.dtype(dtype).kind == "f" else np.round(levels).astype(dtype)
        file = root / f"{'ab'[i // EACH]}/{i:02}.tif"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(write(levels) if write else tiff(levels))
        images.append(levels)
    return images


def tiff(levels: Array) -> bytes:
    file = io.BytesIO()
    kind = "rgb" if levels.shape[2] == 3 else "minisblack"
    pixels = levels[..., 0] if levels.shape[2] == 1 else levels
    more: dict[str, Any] = {"planarconfig": "contig"} if pixels.ndim == 3 else {}
    tifffile.imwrite(file, pixels, photometric=kind, **more)
    return file.getvalue()


def asked(root: Path, more: dict[str, Any] | None = None, **keys: Any) -> Prepared:
    request = {"data": f"folder:{root}", "data.labels": "2/class"} | {f"data.{k}": v for k, v in keys.items()}
    return prepare(TINY | request | (more or {}))


def pixels(made: Prepared) -> dict[str, Array]:
    """Name -> (3, S, S)."""
    found = made.images.subset(np.arange(len(made.images.names)))[0 : len(made.images.names)]
    return dict(zip(made.images.names, found.numpy(), strict=True))


def scaled(levels: Array, white: float) -> Array:
    """(3, S, S) float64."""
    share = np.minimum(levels.astype(np.float64) / white, 1) * 255
    return np.broadcast_to(share, (SIDE, SIDE, 3)).transpose(2, 0, 1)


# low, high, type, white that is decided, share of the range, how many grey levels
CASES: dict[str, tuple[float, float, Any, float, str]] = {
    "16 bits, a part of them": (900, 3000, np.uint16, 3000, "70.0%"),
    "12 bits in 16": (0, 4095, np.uint16, 4095, "100.0%"),
    "16 bits": (100, 65000, np.uint16, 65535, "99.0%"),
    "floats, a little above 1": (0, 1.02, np.float32, 1.02, "100.0%"),
    "floats to 1": (0, 0.97, np.float32, 1, "97.0%"),
    "small floats": (0, 0.3, np.float32, 0.3, "100.0%"),
    "floats of 8 bits": (0, 251, np.float32, 255, "98.4%"),
    "floats of 16 bits": (0, 60000, np.float64, 65535, "91.6%"),
    "floats of no depth": (5, 5000, np.float32, 5000, "99.9%"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("bands", [1, 3])
def test_white_is_that_of_the_depth_or_measured_and_said(case: str, bands: int, here: Path) -> None:
    low, high, dtype, white, share = CASES[case]
    images = stored(here / "d", low, high, dtype, bands)
    made = asked(here / "d")
    found = pixels(made)
    for i, name in enumerate(sorted(found)):
        assert np.abs(found[name] - scaled(images[i], white)).max() <= 0.51
    (said,) = (remark for remark in made.remarks if "more than 8 bits" in remark)
    assert f"16 of 16 training images: their levels go from {low:g} to {high:g}, and white is {white:g}, " in said
    assert f"so {share} of the range is used" in said


@pytest.mark.parametrize("white", [2000, 4095.5, "measured", 65535])
def test_white_is_as_asked(white: Any, here: Path) -> None:
    images = stored(here / "d", 900, 3000, np.uint16)
    found = pixels(asked(here / "d", white=white))
    level = 3000 if white == "measured" else white
    for i, name in enumerate(sorted(found)):
        assert np.abs(found[name] - scaled(images[i], level)).max() <= 0.51


def test_a_white_that_is_measured_leaves_out_a_thousandth(here: Path) -> None:
    """A hot pixel among 100 x 100 x 1 does not darken all of the images."""

    def hot(levels: Array) -> bytes:
        wide = np.resize(levels[..., :1], (100, 100, 1))
        wide[wide == 3000] = 2999
        wide[50, 50] = 65535
        return tiff(wide)

    stored(here / "d", 900, 3000, np.uint16, write=hot)
    assert asked(here / "d", white="measured").images.tone.white == 2999


def test_8_bits_beside_more_stay_as_they_are(here: Path) -> None:
    stored(here / "d", 900, 3000, np.uint16)
    eight = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    for name in ("a/x.png", "b/y.png"):
        Image.fromarray(eight).save(here / "d" / name)
    made = asked(here / "d")
    assert made.images.tone.white == 3000
    assert np.array_equal(pixels(made)["a/x.png"], eight.transpose(2, 0, 1))
    assert any("16 of 18 training images" in remark for remark in made.remarks)


def test_other_depths_in_one_set_are_each_by_their_own(here: Path) -> None:
    stored(here / "d", 0, 4095, np.uint16)
    body = np.full((SIDE, SIDE), 1023, ">u2").tobytes()
    (here / "d/a/x.pgm").write_bytes(f"P5\n{SIDE} {SIDE}\n1023\n".encode() + body)
    made = asked(here / "d")
    assert (pixels(made)["a/x.pgm"] == 255).all()
    assert any("by the depth of each file" in remark for remark in made.remarks)


@pytest.mark.parametrize("write", [tiff, png16])
def test_nothing_of_8_bits_is_said_or_kept(write: Any, here: Path) -> None:
    stored(here / "d", 0, 255, np.uint8, write=None if write is tiff else lambda x: png16(x.astype(np.uint16) * 257))
    made = asked(here / "d")
    assert made.images.tone.about() == {}
    assert any("more than 8 bits" in remark for remark in made.remarks) == (write is png16)


@pytest.mark.parametrize("key", ["white", "bands"])
def test_what_has_no_use_is_refused(key: str, here: Path) -> None:
    value = {"white": "measured", "bands": "3,2,1"}[key]
    with pytest.raises(UserError, match=rf"data\.{key} is for files of images, and this data set has arrays"):
        prepare({"data": "digits", f"data.{key}": value})
    stored(here / "d", 0, 255, np.uint8)
    if key == "white":
        with pytest.raises(
            UserError, match=r"data\.white=measured is for images of more than 8 bits, and there is none"
        ):
            asked(here / "d", white="measured")


@pytest.mark.parametrize("value", ["0", "-3", "inf", "nan", "bright", "1,2"])
def test_what_is_no_white_is_refused(value: str, here: Path) -> None:
    stored(here / "d", 900, 3000, np.uint16)
    with pytest.raises(UserError, match=r"data\.white must be a level above 0, or measured, got"):
        asked(here / "d", white=value)


@pytest.mark.parametrize("value", ["0", "1,2", "1,2,3,4", "red", "-1", "1;2;3"])
def test_what_are_no_bands_is_refused(value: str) -> None:
    with pytest.raises(UserError, match=r"data\.bands must be three numbers of bands, from 1, as 3,2,1, or one, got"):
        build({"data.bands": value}, {})


@pytest.mark.parametrize("bands", ["3,2,1", "5,1,4", "4"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_are_chosen(bands: str, dtype: Any, here: Path) -> None:
    white = float(np.iinfo(dtype).max)
    images = stored(here / "d", 0, white, dtype, 5)
    found = pixels(asked(here / "d", bands=bands))
    chosen = [int(band) - 1 for band in bands.split(",")]
    for i, name in enumerate(sorted(found)):
        assert np.abs(found[name] - scaled(images[i][..., chosen], white)).max() <= 0.51


@pytest.mark.parametrize("opacity", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("bands", ["4,2,1", "1,2,3", "4"])
def test_a_band_that_is_called_transparency_is_one_as_any_other_where_bands_are_chosen(
    opacity: str, dtype: Any, bands: str, here: Path
) -> None:
    """As of aerial images, whose fourth band, near infrared, is often marked so."""

    def marked(levels: Array) -> bytes:
        file = io.BytesIO()
        tifffile.imwrite(file, levels, photometric="rgb", extrasamples=[opacity])
        return file.getvalue()

    white = 1.0 if dtype is np.float32 else float(np.iinfo(dtype).max)
    images = stored(here / "d", 0, white, dtype, 4, marked)
    found = pixels(asked(here / "d", bands=bands))
    chosen = [int(band) - 1 for band in bands.split(",")]
    for i, name in enumerate(sorted(found)):
        assert np.abs(found[name] - scaled(images[i][..., chosen], white)).max() <= 0.51


def test_bands_that_nobody_has_chosen_are_named(here: Path) -> None:
    stored(here / "d", 0, 255, np.uint8, 5)
    assert_refused(
        run("--data", "folder:d", "--labels", "2/class"), "a/", "it has 5 bands; data.bands=1,2,3 says which"
    )
    call = run("--data", "folder:d", "--labels", "2/class", "--set", "data.bands=6")
    assert_refused(call, "data.bands=6, and it has 5 bands")


@pytest.mark.parametrize("limit", [pytest.param(None, marks=pytest.mark.slow), 0])
def test_run_predict_and_exports_agree(limit: int | None, here: Path) -> None:
    """In memory and on demand: the white that was measured is the run's, whatever is predicted later."""
    images = stored(here / "d", 900, 3000, np.uint16, 4)
    words = ["--data", "folder:d", "--labels", "2/class", "--set", "data.bands=4,2,1", "--json"]
    call = run(*words, *(["--set", f"data.cache_gb={limit}"] if limit is not None else []))
    assert call.code == 0, call.err
    folder = folder_of(call, Path("runs"))
    predictor = load(folder)
    assert (predictor.square.tone.white, predictor.square.tone.bands) == (3000, (4, 2, 1))
    assert "white is 3000" in json.dumps(read_json(folder / "data.json")) or "white is 3000" in call.err
    bright = here / "more/x.tif"
    bright.parent.mkdir()
    bright.write_bytes(tiff(np.minimum(images[0].astype(np.int64) * 2, 65535).astype(np.uint16)))
    answer = np.round(scaled(np.minimum(images[0].astype(np.int64) * 2, 65535)[..., [3, 1, 0]], 3000)).astype(np.uint8)
    import torch

    p = predictor.probabilities(torch.from_numpy(answer[None]))[0]
    assert sslkit("predict", folder, bright, "--all", "--out", "p.csv").code == 0
    row = Path("p.csv").read_text().splitlines()[1].split(",")
    assert [float(x) for x in row[-2:]] == pytest.approx(p.tolist(), abs=6e-5)
    if limit is not None:
        return
    assert sslkit("export", folder, "--out", "timm").code == 0
    assert read_json(Path("timm/config.json"))["sslkit"] == {"white": 3000, "bands": [4, 2, 1]}
    assert sslkit("export", folder, "--format", "torch", "--out", "m.pt2").code == 0
    about = read_json(Path("m.pt2.json"))
    assert (about["white"], about["bands"]) == (3000, [4, 2, 1])
    assert about["check"]["on"] == "test images"
