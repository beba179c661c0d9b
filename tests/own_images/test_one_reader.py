"""Training, test and prediction read images by the same rules: one picture, stored in many ways, is one picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslkit.finished import load
from sslkit.finished import test_set as stored_test_set
from sslkit.prepare import prepare
from tests.cli.call import folder_of, run, sslkit
from tests.datasets.make import held
from tests.datasets.test_image_rules import png16
from tests.kernel.make import TINY
from tests.own_images.photos import Array, photos, pieces, save

STORED = ("plain.png", "turned.png", "deep.png", "alpha.png", "palette.png", "pages.tif")


def store(image: Image.Image, folder: Path, name: str) -> None:
    """The grey `image` of at most 200 levels, without loss, in one of the ways of `STORED`."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels: Array = np.asarray(image)
    if name == "turned.png":
        exif = Image.Exif()
        exif[274] = 6
        Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(file, exif=exif)
    elif name == "deep.png":
        file.write_bytes(png16(pixels[..., None].astype(np.uint16) * 257))
    elif name == "alpha.png":
        image.convert("RGBA").save(file)
    elif name == "palette.png":
        image.convert("RGB").quantize(256).save(file)
    elif name == "pages.tif":
        image.save(file, save_all=True, append_images=[Image.new("L", image.size)])
    else:
        image.save(file)


@pytest.fixture
def picture() -> Image.Image:
    return pieces("china.jpg", 8, seed=3)[5].convert("L").point([min(200, x) for x in range(256)])


def test_in_training_and_in_the_test_part(picture: Image.Image, here: Path) -> None:
    for part in ("train", "test"):
        for name in STORED:
            store(picture, here / f"d/{part}/a", name)
        save(Image.new("L", (20, 20), 9), here / f"d/{part}/b/b.png")
    made = prepare(TINY | {"data": f"folder:{here / 'd'}", "data.labels": "1/class", "data.size": 24})
    seen = [held(made.images)[i] for i, name in enumerate(made.images.names) if "/a/" in name]
    assert len(seen) == 2 * len(STORED)
    for pixels in seen:
        assert np.abs(pixels.astype(int) - seen[0]).max() <= 1


def test_in_prediction(picture: Image.Image, here: Path) -> None:
    photos(here / "photos", 4, 2, 2)
    call = run("--data", "folder:photos", "--labels", "2/class", "--stages", "finetune", "--size", "16", "--json")
    assert call.code == 0, call.err
    for name in STORED:
        store(picture, here / "new", name)
    done = sslkit("predict", folder_of(call, Path("runs")), "new", "--out", "new.csv")
    assert done.code == 0, done.err
    with Path("new.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(STORED)
    assert len({row["class"] for row in rows}) == 1
    confidence = [float(row["confidence"]) for row in rows]
    assert max(confidence) - min(confidence) < 2e-3


def test_a_crop_is_that_of_test_prediction_and_export(here: Path) -> None:
    photos(here / "photos", 4, 2, 4)
    common = ["--data", "folder:photos", "--labels", "2/class", "--stages", "finetune", "--size", "24", "--json"]
    call = run(*common, "--set", "data.crop=0.5", "--set", "backbone.patch=8")
    assert call.code == 0, call.err
    folder = folder_of(call, Path("runs"))
    seen = load(folder)
    files, pixels, _ = stored_test_set(folder, seen.spec)
    for name, found in zip(files, pixels[:], strict=True):
        with Image.open(Path("photos", name)) as image:
            w, h, half = *image.size, min(image.size) / 4
            box = (w / 2 - half, h / 2 - half, w / 2 + half, h / 2 + half)
            square = image.convert("RGB").resize((24, 24), Image.Resampling.BICUBIC, box)
        assert np.abs(np.asarray(square).transpose(2, 0, 1) - found.numpy().astype(int)).max() <= 1
    for arguments, out in ((["--test"], "test.csv"), ([f"photos/{name}" for name in files], "new.csv")):
        done = sslkit("predict", folder, *arguments, "--out", out)
        assert done.code == 0, done.err
    confidences = []
    for out in ("test.csv", "new.csv"):
        with Path(out).open(encoding="utf-8", newline="") as stream:
            confidences.append([row["confidence"] for row in csv.DictReader(stream)])
    assert confidences[0] == confidences[1]
    done = sslkit("export", folder, "--format", "torch", "--out", "model.pt2")
    assert done.code == 0, done.err
    assert json.loads(Path("model.pt2.json").read_text("utf-8"))["crop"] == 0.5
