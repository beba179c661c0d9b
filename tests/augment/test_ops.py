"""Every operation against Pillow and timm, on photographs and digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sslkit.augment.ops import AFFINES, NAMES, Edge, apply, histogram, luminance
from sslkit.augment.warp import Filter
from tests.augment.oracle import MOVING, PLAIN, RANGES, WHOLE, reference
from tests.augment.pictures import photos, pillow, tensor

FILL = (124, 116, 104)
SIZES = [(8, 8), (32, 32), (9, 40), (41, 17), (384, 384)]


def values(name: str, n: int) -> Tensor:
    low, high = RANGES.get(name, (0, 0))
    value = torch.from_numpy(np.random.default_rng(5).uniform(low, high, n))
    return value.round() if name in WHOLE else value


def compare(name: str, images: Tensor, value: Tensor, edge: Edge) -> tuple[float, float]:
    """Mean absolute error in grey levels, and share of grey levels that are off by more than 2."""
    made = apply(images.float(), [name] * len(images), value, edge)
    expected = torch.stack(
        [tensor(reference(name, pillow(x), float(v), edge)) for x, v in zip(images, value, strict=True)]
    )
    off = (made.int() - expected.int()).abs()
    return float(off.double().mean()), float((off > 2).double().mean())


def test_every_operation_has_a_reference() -> None:
    assert set(NAMES) == {"identity", *PLAIN, *MOVING}
    assert set(MOVING) == set(AFFINES)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", PLAIN)
def test_grey_levels_are_those_of_pillow(name: str, size: tuple[int, int]) -> None:
    n = 4 if size[0] > 100 else 40
    error, far = compare(name, photos(n, *size), values(name, n), Edge())
    assert far == 0
    assert error == 0


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("name", MOVING)
def test_moved_pixels_are_those_of_pillow(name: str, interpolation: Filter, size: tuple[int, int]) -> None:
    n = 4 if size[0] > 100 else 40
    error, far = compare(name, photos(n, *size), values(name, n), Edge(interpolation, FILL))
    assert error < 0.05
    assert far < 0.001  # at an edge, or between two pixels, where a coordinate is rounded to the other side


@pytest.mark.parametrize("name", MOVING)
def test_no_movement_is_the_image(name: str) -> None:
    images = photos(6, 12, 17).float()
    for kind in ("nearest", "bilinear", "bicubic"):
        assert torch.equal(apply(images, [name] * 6, torch.zeros(6).double(), Edge(kind, FILL)), images)


def test_one_level_images() -> None:
    """Nothing to stretch, nothing to equalize, and a mean that is the image."""
    images = torch.full((3, 3, 8, 8), 77.0)
    for name in ("autocontrast", "equalize", "contrast", "sharpness", "color"):
        assert torch.equal(apply(images, [name] * 3, torch.full((3,), 0.3).double(), Edge()), images), name


@pytest.mark.parametrize("n", [1, 50])
def test_a_mixed_batch_is_each_operation_alone(n: int) -> None:
    names = [NAMES[i % len(NAMES)] for i in range(n)]
    images = photos(n, 16, 20).float()
    value = torch.stack([values(name, n)[i] for i, name in enumerate(names)])
    edge = Edge("bicubic", FILL)
    before = images.clone()
    made = apply(images, names, value, edge)
    assert torch.equal(images, before)
    for i, name in enumerate(names):
        assert torch.equal(made[i : i + 1], apply(images[i : i + 1], [name], value[i : i + 1], edge)), name


def test_without_an_operation_they_are_the_images() -> None:
    images = photos(3, 8, 8).float()
    assert apply(images, ["identity"] * 3, torch.zeros(3).double(), Edge()) is images


def test_luminance_and_histogram() -> None:
    images = photos(5, 20, 30).float()
    grey = torch.stack([torch.from_numpy(np.asarray(pillow(x.byte()).convert("L")).copy()) for x in images])
    assert torch.equal(luminance(images), grey.float())
    counts = torch.stack([torch.stack([torch.bincount(c.flatten().long(), minlength=256) for c in x]) for x in images])
    assert torch.equal(histogram(images), counts.int())
