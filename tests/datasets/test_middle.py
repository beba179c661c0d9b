"""Any size and aspect becomes a square: the middle, and how much of it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as transforms  # type: ignore[import-untyped]

from sslkit.data.image import Square, middle, to_pixels


@pytest.mark.parametrize(("width", "height"), [(40, 20), (20, 40), (20, 10), (64, 64), (1, 1)])
def test_the_short_side_is_scaled_and_the_middle_is_kept(width: int, height: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    side = min(width, height)
    top, left = (height - side) // 2, (width - side) // 2
    image[top : top + side, left : left + side] = (10, 200, 60)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    found = to_pixels(file.getvalue(), Square(8), "it")
    assert found.shape == (3, 8, 8)
    assert np.abs(found[:, 2:6, 2:6] - np.array([10, 200, 60])[:, None, None]).max() <= 2


@pytest.mark.parametrize(("width", "height"), [(300, 260), (256, 411), (500, 333)])
def test_a_crop_of_224_in_256_is_the_published_evaluation(width: int, height: int) -> None:
    """Short side to 256, then the middle 224 from a whole pixel on: up to half a pixel from ours."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    scaled = transforms.resize(image, 256, transforms.InterpolationMode.BICUBIC)
    published = np.asarray(transforms.center_crop(scaled, 224)).transpose(2, 0, 1)
    found = middle(image, Square(224, 224 / 256))
    assert np.abs(found.astype(int) - published).mean() < 2
    assert np.abs(middle(image, Square(224)).astype(int) - published).mean() > 5


def test_a_line_of_pixels_is_an_image() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 400, 3), np.uint8)
    assert to_pixels(noise[:1].copy(), Square(8), "it").shape == (3, 8, 8)
