"""Mean and deviation for normalising: declared or measured, and images without colour stay without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sslkit.augment.policy import POLICIES
from sslkit.augment.render import view
from sslkit.data import IMAGENET_MEAN, IMAGENET_STD
from sslkit.data.normalizing import moments
from sslkit.prepare import Prepared, prepare
from sslkit.randomness import Draw
from sslkit.record.stages import stages
from tests.cli.call import run
from tests.kernel.make import CPU, TINY


def noise(root: Path, mode: str = "RGB") -> str:
    """16 training images and 4 to test, of 8 pixels."""
    draw = np.random.default_rng(0)
    for i in range(20):
        file = root / f"{'train' if i < 16 else 'test'}/{'ab'[i % 2]}/{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 200, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels if mode == "RGB" else pixels[..., 0]).save(file)
    return f"folder:{root}"


def asked(data: str, **keys: Any) -> Prepared:
    return prepare(TINY | {"data": data, "data.labels": "2/class"} | {f"data.{k}": v for k, v in keys.items()})


@pytest.mark.parametrize("cache_gb", [None, 0.0])
def test_measured_ones_are_those_of_the_training_part(cache_gb: float | None, here: Path) -> None:
    made = asked(noise(here / "d"), stats="measured", cache_gb=cache_gb)
    spec = stages(made, CPU)[0].spec
    files = sorted((here / "d/train").rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(file)) for file in files]) / 255
    assert spec.data["mean"] == pytest.approx(pixels.mean((0, 1, 2)), abs=1e-12)
    assert spec.data["std"] == pytest.approx(pixels.std((0, 1, 2)), abs=1e-12)


def test_declared_ones_are_the_default_and_which_is_said(here: Path) -> None:
    data = noise(here / "d")
    spec = stages(asked(data), CPU)[0].spec
    assert (spec.data["mean"], spec.data["std"]) == (list(IMAGENET_MEAN), list(IMAGENET_STD))
    declared, measured = (
        run("--data", data, "--labels", "2/class", *more) for more in ((), ("--set", "data.stats=measured"))
    )
    assert (
        "images are normalised with mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225, not this data set's own"
        in declared.err
    )
    assert ", measured on the training images" in measured.err


def test_another_choice_is_another_stage(here: Path) -> None:
    data = noise(here / "d")
    keys = [stages(asked(data, stats=stats), CPU)[0].spec.key for stats in ("declared", "measured")]
    assert keys[0] != keys[1]


def test_one_colour_can_be_divided_by_its_deviation() -> None:
    histogram = np.zeros((3, 256), np.int64)
    histogram[:, 51] = 100
    mean, std = moments(histogram)
    assert mean == pytest.approx((0.2,) * 3)
    assert min(std) >= 1 / 255


@pytest.mark.parametrize("stats", ["declared", "measured"])
def test_grey_data_works_unasked(stats: str, here: Path) -> None:
    call = run("--data", noise(here / "d", "L"), "--labels", "2/class", "--set", f"data.stats={stats}")
    assert call.code == 0, call.err


@pytest.mark.parametrize("name", POLICIES)
def test_views_do_not_tint_grey_images(name: str) -> None:
    grey = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 1, 16, 16), dtype=np.uint8)).expand(
        -1, 3, -1, -1
    )
    mean, std = torch.tensor([0.45] * 3), torch.tensor([0.22] * 3)  # as measured on grey images: three equal ones
    draw = Draw(7, torch.arange(64), torch.zeros(64, dtype=torch.int64))
    made = view(grey.contiguous(), POLICIES[name], draw, mean, std)
    assert (made - made[:, :1]).abs().max() < 2e-6
