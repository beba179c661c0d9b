"""One image under two labels, and the same pixels in training and in test, are said by every run."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslkit.prepare import prepare
from tests.datasets.make import own, picture, pictures


def remarks(root: Path, words: str, **keys: object) -> list[str]:
    made = prepare({"data": f"folder:{root}", "data.labels": "all", "backbone": "vit_micro", **keys})
    return [remark for remark in made.remarks if words in remark]


@pytest.mark.parametrize("seed", range(4))
def test_an_image_in_two_class_folders(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    own(tmp_path)
    for i in range(6):
        picture(tmp_path / f"train/dog/dog{i}.png", 100 + i)
    assert remarks(tmp_path, "several labels") == []
    twice = [f"cat{i}.png" for i in draw.sample(range(6), draw.randint(1, 3))]
    for file in twice:
        shutil.copy(tmp_path / "train/cat" / file, tmp_path / "train/dog" / f"copy_{file}")
    shutil.copy(tmp_path / "train/cat/cat0.png", tmp_path / "train/cat/again.png")  # one label: no contradiction
    (said,) = remarks(tmp_path, "several labels")
    assert f"several labels, {len(twice)} times" in said
    for file in twice:
        assert f"{file} (cat)" in said
        assert f"copy_{file} (dog)" in said


@pytest.mark.parametrize("form", ["bmp", "webp", "tiff"])
def test_the_same_pixels_in_another_format(form: str, tmp_path: Path) -> None:
    own(tmp_path)
    draw = np.random.default_rng(0)
    image = Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8))
    image.save(tmp_path / "train/cat/odd.png")
    assert remarks(tmp_path, "same pixels") == []
    image.save(tmp_path / f"test/cat/odd_too.{form}", lossless=True)
    (said,) = remarks(tmp_path, "same pixels")
    assert "train/cat/odd.png = " in said
    assert f"test/cat/odd_too.{form}" in said
    pictures(tmp_path, ["unlabeled/more.png"])
    assert len(remarks(tmp_path, "same pixels")) == 1
