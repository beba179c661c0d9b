"""Images that are decoded for every batch: as those in memory, and crops of whole ones as Pillow cuts them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sslkit.augment.boxes import BOX_DRAWS, crop_boxes
from sslkit.augment.policy import Policy
from sslkit.augment.render import normalise
from sslkit.data.on_demand import OnDemand, in_turn
from sslkit.errors import UserError
from sslkit.prepare import Prepared, prepare
from sslkit.training.evaluation import BATCH
from sslkit.training.loader import Loader, Source
from tests.reliability.small import small, stages

SIZES = [(40, 24), (24, 40), (33, 33), (16, 16), (90, 20)]
MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.4])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of smooth noise, in many sizes."""
    root, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(60):
        part, name = ("test" if i % 5 == 4 else "train"), "abc"[i % 3]
        (root / part / name).mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(draw.integers(0, 256, (5, 7, 3), np.uint8))
        small.resize(SIZES[i % len(SIZES)]).save(root / part / name / f"{i}.{'jpg' if i % 2 else 'png'}")
    return root


def prepared(photos: Path, **keys: Any) -> Prepared:
    own = {"data": f"folder:{photos}", "data.size": 16, "data.labels": "3/class", "backbone": "vit_micro"}
    return prepare(own | {"data.cache_gb": 0.0} | {k.replace("__", "."): v for k, v in keys.items()})


def loaded(made: Prepared, policy: Policy, parts: int = 1, batch: int = 20) -> Loader:
    index = made.split.pool
    source = Source(made.images.subset(index), torch.from_numpy(index), None, batch)
    return Loader({"unlabeled": source}, {"unlabeled": {"weak": policy, "strong": policy}}, 0, parts, MEAN, STD)


def batches(loader: Loader, steps: range) -> dict[str, Tensor]:
    made = [loader.batch(step, micro)["unlabeled"] for step in steps for micro in range(loader.parts)]
    return {name: torch.cat([stream[name] for stream in made]) for name in ("weak", "strong")}


@pytest.mark.parametrize("crop", [1.0, 0.6])
def test_what_does_not_fit_is_decoded_on_demand_and_comes_out_the_same(photos: Path, crop: float) -> None:
    here, there = (prepared(photos, data__cache_gb=gb, data__crop=crop) for gb in (0.0, 1.0))
    assert isinstance(here.images.pixels, OnDemand)
    assert isinstance(there.images.pixels, np.ndarray)
    assert np.array_equal(here.images.pixels[:].numpy(), there.images.pixels)
    policy = Policy(crop=0.3, flip=True, brightness=0.4)
    for name, views in batches(loaded(here, policy), range(4)).items():
        assert torch.equal(views, batches(loaded(there, policy), range(4))[name])


@pytest.mark.slow
def test_a_run_on_demand_leaves_the_weights_of_one_in_memory(photos: Path, tmp_path: Path) -> None:
    own = ["--data", f"folder:{photos}", "--size", "8", "--labels", "3/class", "--set", "views.strong=semi_vit_strong"]
    for name, gb in (("memory", "1"), ("demand", "0")):
        assert small(tmp_path / name, *own, "--cache-gb", gb) == 0
    for label, folder in stages(tmp_path / "memory").items():
        other = stages(tmp_path / "demand")[label]
        assert folder.name != other.name
        for file in ("weights.safetensors", "predictions.safetensors"):
            assert (folder / file).read_bytes() == (other / file).read_bytes()


@pytest.mark.parametrize("how", ["bicubic", "bilinear"])
def test_crops_of_whole_images_are_pillows(photos: Path, how: Any) -> None:
    made = prepared(photos, data__whole=True)
    loader = loaded(made, Policy(crop=0.2, interpolation=how, flip=False))
    stream = loader.batch(1, 0)["unlabeled"]
    place, visit = loader._places("unlabeled", 1, 0)
    differ = 0
    for name in ("weak", "strong"):
        u = loader._draw(name, loader.sources["unlabeled"].sample[place], visit)("crop", BOX_DRAWS)
        for row, i in enumerate(made.split.pool[place.numpy()].tolist()):
            image = Image.open(photos / made.images.names[i]).convert("RGB")
            box = crop_boxes(u[row : row + 1], image.height, image.width, 0.2)
            top, left, high, wide = (int(side) for side in vars(box).values())
            cut = image.crop((left, top, left + wide, top + high))  # cut first: nothing beyond the box is seen
            small = cut.resize((16, 16), Image.Resampling[how.upper()])
            expected = normalise(torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)[None], MEAN, STD)
            off = (stream[name][row : row + 1] - expected).abs() * STD[:, None, None] * 255
            assert float(off.max()) < 2.1, (row, off.max())  # grey levels
            assert float(off.mean()) < 0.25  # of 16 x 16 pixels, a fifth may be rounded to the other side
            differ += high != wide
    assert differ
    assert not torch.equal(stream["weak"], stream["strong"])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_batches_do_not_depend_on_what_was_asked_before(photos: Path, whole: bool, parts: int) -> None:
    made, policy = prepared(photos, data__whole=whole), Policy(crop=0.2, flip=True)
    one = batches(loaded(made, policy), range(6))
    jumped = loaded(made, policy, parts)
    jumped.batch(3, 0)
    for name, views in batches(jumped, range(6)).items():
        assert torch.equal(views, one[name])
    assert len(jumped._ahead) <= parts


def test_parts_are_read_in_turn(photos: Path) -> None:
    pixels = prepared(photos).images.pixels
    assert isinstance(pixels, OnDemand)
    parts = [slice(0, 7), slice(7, 14), slice(14, 60)]
    assert torch.equal(torch.cat(list(in_turn(pixels, parts))), pixels[:])
    assert list(in_turn(pixels, [])) == []
    assert len(pixels) < BATCH


def test_an_image_is_decoded_once_for_all_its_views(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepared(photos, data__whole=True)
    seen: list[int] = []
    real = made.images.pixels.stored  # type: ignore[union-attr]

    def source(i: int) -> Any:
        seen.append(i)
        return real.source(i)

    monkeypatch.setattr(made.images.pixels, "stored", replace(real, source=source))
    loader = loaded(made, Policy(crop=0.2))
    loader.batch(0, 0)
    for reading in loader._ahead.values():
        reading.result()
    assert len(seen) == 40  # the batch, and the next one


def test_a_broken_file_is_named(photos: Path, tmp_path: Path) -> None:
    for file in photos.rglob("*.*"):
        copy = tmp_path / file.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    made = prepared(tmp_path)
    victim = tmp_path / made.images.names[0]
    victim.write_bytes(victim.read_bytes()[:40])
    with pytest.raises(UserError, match=r"train/a/0\.png"):
        made.images.pixels[:]


def test_a_changed_file_is_other_data(photos: Path, tmp_path: Path) -> None:
    first = prepared(photos).images.fingerprint
    assert prepared(photos, data__workers=1).images.fingerprint == first
    assert prepared(photos, data__size=8).images.fingerprint != first
    file = next(photos.rglob("*.png"))
    content = file.read_bytes()
    file.write_bytes(content + b"0")
    assert prepared(photos).images.fingerprint != first
    file.write_bytes(content)


def test_another_crop_is_other_data(photos: Path) -> None:
    """On demand nothing is decoded before, so that files and settings are all that tells data apart."""
    for gb in (0.0, 1.0):
        found = [prepared(photos, data__cache_gb=gb, data__crop=crop).images.fingerprint for crop in (1.0, 0.6)]
        assert found[0] != found[1]
