"""Crop, resize, shift, mirror and blur against Pillow, NumPy and torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as vision  # type: ignore[import-untyped]

from sslkit.augment.frame import BLUR_REACH, blurred, cut, moved, reframe, resized
from tests.augment.pictures import photos, pillow, tensor


@pytest.mark.parametrize("cubic", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (32, 32), (20, 45), (200, 150)], ids=str)
def test_resized_crops_are_those_of_pillow(size: tuple[int, int], cubic: bool) -> None:
    n = 24
    choose = np.random.default_rng(3)
    images, (height, width) = photos(n, *size), size
    boxes = []
    for _ in range(n):
        h, w = int(choose.integers(1, height + 1)), int(choose.integers(1, width + 1))
        boxes.append((int(choose.integers(0, height - h + 1)), int(choose.integers(0, width - w + 1)), h, w))
    tops, lefts, heights, widths = torch.tensor(boxes).float().unbind(1)
    flip = torch.from_numpy(choose.random(n) < 0.5)
    rows = resized(tops, heights, height, torch.zeros_like(flip), cubic=cubic)
    made = reframe(images, rows, resized(lefts, widths, width, flip, cubic=cubic))
    kind = Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR
    for i, (t, x, high, wide) in enumerate(boxes):
        expected = pillow(images[i]).crop((x, t, x + wide, t + high)).resize((width, height), kind)
        expected = expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip[i] else expected
        off = (made[i].int() - tensor(expected).int()).abs()
        assert int(off.max()) <= 2, boxes[i]
        assert float(off.double().mean()) < 0.1, boxes[i]  # halves, which fixed-point weights round otherwise


@pytest.mark.parametrize("cubic", [True, False])
def test_cut_is_what_a_batch_gives(cubic: bool) -> None:
    """Shift, box and mirror by torch's kernel, beside Pillow's pixels and `moved`'s."""
    choose = np.random.default_rng(4)
    images, kind = photos(12, 150, 170), Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR
    for i in range(12):
        shift, flip = choose.integers(-20, 21, 2).tolist(), bool(i % 2)
        high, wide = choose.integers(1, 151, 2).tolist()
        top, left = int(choose.integers(0, 151 - high)), int(choose.integers(0, 171 - wide))
        made = cut(images[i : i + 1], shift, [top, left, high, wide], flip, cubic=cubic)
        window = moved(images[i : i + 1], torch.tensor([shift]), torch.tensor([False]))[0]
        expected = pillow(window).crop((left, top, left + wide, top + high)).resize((170, 150), kind)
        expected = expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else expected
        off = (made[0] - tensor(expected)).abs()
        assert made.dtype == torch.float32
        assert int(off.max()) <= 2
        assert float(off.mean()) < 0.1


def test_a_shift_and_a_mirror_alone_move_pixels() -> None:
    image = photos(1, 150, 170)
    made = cut(image, [7, -11], [0, 0, 150, 170], True, cubic=True)
    expected = moved(image, torch.tensor([[7, -11]]), torch.tensor([False])).flip(3)
    assert torch.equal(made, expected.float())


def test_the_whole_image_is_itself() -> None:
    images = photos(5, 12, 17)
    n, still = torch.zeros(5), torch.zeros(5, dtype=torch.bool)
    rows, columns = (resized(n, n + side, side, still, cubic=True) for side in (12, 17))
    assert torch.equal(reframe(images, rows, columns), images.float())


@pytest.mark.parametrize("size", [(8, 8), (13, 30)], ids=str)
def test_shifts_are_windows_of_the_padded_image(size: tuple[int, int]) -> None:
    images = photos(9, *size)
    shift = torch.tensor([(a, b) for a in (-5, 0, 3) for b in (-4, 0, 7)])
    flip = torch.arange(9) % 2 == 1
    made = moved(images, shift, flip)
    for i, (down, right) in enumerate(shift.tolist()):
        padded = np.pad(images[i].numpy(), ((0, 0), (7, 7), (7, 7)), mode="reflect")
        window = padded[:, 7 + down : 7 + down + size[0], 7 + right : 7 + right + size[1]]
        assert np.array_equal(made[i].numpy(), window[:, :, ::-1] if flip[i] else window)


@pytest.mark.parametrize("size", [(8, 8), (32, 40), (100, 64)], ids=str)
def test_blur_is_torchvisions(size: tuple[int, int]) -> None:
    images = photos(6, *size)
    sigma = torch.tensor([0.1, 0.3, 0.7, 1.0, 1.5, 2.0])
    made = reframe(images, *(blurred(sigma, side) for side in size))
    kernel = [2 * min(side - 1, BLUR_REACH) + 1 for side in reversed(size)]
    for i, s in enumerate(sigma.tolist()):
        expected = vision.gaussian_blur(images[i].float(), kernel, [s, s])
        assert float((made[i].float() - expected).abs().max()) < 1.1, s  # ours is rounded twice


def test_a_blur_keeps_the_mean_of_a_flat_image() -> None:
    images = torch.full((2, 3, 16, 16), 200, dtype=torch.uint8)
    taps = blurred(torch.tensor([0.5, 2.0]), 16)
    assert torch.equal(reframe(images, taps, taps), images.float())
