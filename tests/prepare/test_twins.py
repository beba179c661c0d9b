"""Training images that look like test images are said by a run, where that costs next to nothing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from sslkit.prepare import Prepared, prepare
from tests.own_images.photos import pieces, save

CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "scaled": lambda image: image.resize((image.width * 3 // 2, image.height * 3 // 2)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "compressed again": lambda image: image.copy(),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, photograph in (("fleur", "flower.jpg"), ("arch", "china.jpg")):
        shown = [image for image in pieces(photograph, 50) if np.asarray(image.convert("L")).std() > 20]  # no sky
        for i, image in enumerate(shown[:14]):
            save(image, tmp_path / ("test" if i % 7 == 0 else "train") / name / f"{i}.png")
    return tmp_path


def made(root: Path, **keys: object) -> Prepared:
    return prepare({"data": f"folder:{root}", "data.labels": "all", "backbone": "vit_micro", "data.size": 48, **keys})


def said(found: Prepared) -> list[str]:
    return [remark for remark in found.remarks if remark.startswith("near duplicates: ")]


@pytest.mark.parametrize("seed", range(3))
def test_their_number_and_the_first_are_said(seed: int, photos: Path) -> None:
    draw = random.Random(seed)
    assert said(made(photos)) == []
    train = sorted((photos / "train").rglob("*.png"))
    chosen = sorted(draw.sample(train, draw.randint(1, 4)))
    for file in chosen:
        change = CHANGES[draw.choice([*CHANGES])]
        save(change(Image.open(file)), photos / "test" / file.parent.name / f"{file.stem}_too.jpg", quality=90)
    (sentence,) = said(made(photos))
    count = f"{len(chosen)} training image" + ("s look" if len(chosen) > 1 else " looks")
    first = chosen[0].relative_to(photos)
    assert f"{count} like test images, as {first} ~ test/{first.parent.name}/{first.stem}_too.jpg, " in sentence
    assert "`sslkit data`" in sentence


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_those_that_are_said_to_be_equal_are_not_counted_again(suffix: str, photos: Path) -> None:
    file = next((photos / "train").rglob("*.png"))
    copy = photos / "test" / file.parent.name / f"copy.{suffix}"
    if suffix == "png":
        shutil.copy(file, copy)
    else:
        Image.open(file).save(copy)
    found = made(photos)
    assert sum("duplicates of test images" in r or "the same pixels" in r for r in found.remarks) == 1
    assert said(found) == []


@pytest.mark.parametrize("keys", [{"data.size": 24}, {"data.cache_gb": 0}, {"most": 27}])
def test_nothing_is_searched_where_it_is_not_sure_or_not_cheap(
    keys: dict[str, object], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = next((photos / "train").rglob("*.png"))
    save(CHANGES["scaled"](Image.open(file)), photos / "test" / file.parent.name / "too.png")
    assert len(said(made(photos))) == 1
    monkeypatch.setattr("sslkit.prepare.twins.MOST", keys.get("most", 100))
    assert said(made(photos, **{key: value for key, value in keys.items() if key != "most"})) == []
