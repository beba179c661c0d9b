"""Training images that look like test images are said by a run, where that costs next to nothing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from sslkit.data import checking
from sslkit.data.image import read_rgb
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


@pytest.mark.parametrize("keys", [{}, {"data.cache_gb": 0}, {"data.whole": True}])
@pytest.mark.parametrize("seed", range(3))
def test_their_number_and_the_first_are_said(seed: int, keys: dict[str, object], photos: Path) -> None:
    draw = random.Random(seed)
    assert said(made(photos, **keys)) == []
    train = sorted((photos / "train").rglob("*.png"))
    chosen = sorted(draw.sample(train, draw.randint(1, 4)))
    for file in chosen:
        change = CHANGES[draw.choice([*CHANGES])]
        save(change(Image.open(file)), photos / "test" / file.parent.name / f"{file.stem}_too.jpg", quality=90)
    (sentence,) = said(made(photos, **keys))
    count = f"{len(chosen)} training image" + ("s look" if len(chosen) > 1 else " looks")
    first = chosen[0].relative_to(photos)
    assert f"{count} like test images, as {first} ~ test/{first.parent.name}/{first.stem}_too.jpg, " in sentence
    assert "`sslkit data`" in sentence


@pytest.mark.parametrize("keys", [{}, {"data.cache_gb": 0}])
@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_those_that_are_said_to_be_equal_are_not_counted_again(
    suffix: str, keys: dict[str, object], photos: Path
) -> None:
    file = next((photos / "train").rglob("*.png"))
    copy = photos / "test" / file.parent.name / f"copy.{suffix}"
    if suffix == "png":
        shutil.copy(file, copy)
    else:
        Image.open(file).save(copy)
    found = made(photos, **keys)
    assert sum("duplicates of test images" in r or "the same pixels" in r for r in found.remarks) == 1
    assert said(found) == []


@pytest.mark.parametrize("keys", [{"data.size": 24}, {"data.size": 24, "data.cache_gb": 0}, {"most": 27}])
def test_nothing_is_searched_where_it_is_not_sure_or_not_cheap(
    keys: dict[str, object], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = next((photos / "train").rglob("*.png"))
    save(CHANGES["scaled"](Image.open(file)), photos / "test" / file.parent.name / "too.png")
    assert len(said(made(photos))) == 1
    monkeypatch.setattr("sslkit.prepare.twins.MOST", keys.get("most", 100))
    assert said(made(photos, **{key: value for key, value in keys.items() if key != "most"})) == []


def test_images_of_every_batch_are_decoded_once_for_all_that_is_said(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check, equal pixels and near duplicates are one pass, whose answers stand for the same files the next time."""
    opened: list[str] = []

    def counted(item: str, *more: Any) -> Image.Image:
        opened.append(item)
        return read_rgb(item, *more)

    monkeypatch.setattr(checking, "read_rgb", counted)
    file = next((photos / "train").rglob("*.png"))
    save(CHANGES["scaled"](Image.open(file)), photos / "test" / file.parent.name / "too.png")
    request = {"data": f"folder:{photos}", "data.labels": "all", "backbone": "vit_micro", "data.size": 48}
    for on_bad_image in ("skip", "stop"):
        keys = {"data.cache_gb": 0, "data.on_bad_image": on_bad_image}
        assert len(said(prepare(request | keys, tmp_path / "store"))) == 1
        assert len(opened) == len({*opened}) == len([*photos.rglob("*.png")])
    picture = photos / "test" / file.parent.name / "new.png"
    save(Image.open(file).rotate(180), picture)
    prepare(request | {"data.cache_gb": 0}, tmp_path / "store")
    assert opened[-1] == str(picture)
    assert len(opened) == len({*opened})
