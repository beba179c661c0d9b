"""Boxes against the loops of torchvision and timm, fed with the same uniforms."""

from __future__ import annotations

import math

import pytest
import torch

from sslkit.augment.boxes import BOX_DRAWS, TRIES, Boxes, crop_boxes, cutout_boxes, erase_boxes
from sslkit.randomness import uniform

SIZES = [(32, 32), (8, 8), (20, 45), (224, 96)]


def draws(n: int, columns: int = BOX_DRAWS) -> torch.Tensor:
    return uniform(11, torch.arange(n * columns)).view(n, columns)


def one_box(u: list[float], size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float], room: int):
    """The loop of both libraries: ten tries, the first that fits; `room` is what must be left on each side."""
    for k in range(TRIES):
        target = size[0] * size[1] * (area[0] + u[k] * (area[1] - area[0]))
        aspect = math.exp(math.log(ratio[0]) + u[TRIES + k] * (math.log(ratio[1]) - math.log(ratio[0])))
        h, w = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < h <= size[0] - room and 0 < w <= size[1] - room:
            return math.floor(u[-2] * (size[0] - h + 1)), math.floor(u[-1] * (size[1] - w + 1)), h, w
    return None


def rows(boxes: Boxes) -> list[tuple[int, ...]]:
    return [tuple(row) for row in torch.stack(list(vars(boxes).values()), 1).tolist()]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("smallest", [0.08, 0.2, 0.9])
def test_crops(size: tuple[int, int], smallest: float) -> None:
    u = draws(400)
    middle = min(size[0], round(size[1] * 4 / 3)), min(size[1], round(size[0] * 4 / 3))
    fallback = ((size[0] - middle[0]) // 2, (size[1] - middle[1]) // 2, *middle)
    expected = [one_box(row, size, (smallest, 1.0), (3 / 4, 4 / 3), 0) or fallback for row in u.tolist()]
    assert rows(crop_boxes(u, *size, smallest)) == expected


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("largest", [1 / 3, 0.01, 1.0])
def test_erased_boxes(size: tuple[int, int], largest: float) -> None:
    u = draws(400)
    area = (min(0.02, largest), largest)
    expected = [one_box(row, size, area, (0.3, 1 / 0.3), 1) for row in u.tolist()]
    made = rows(erase_boxes(u, *size, largest))
    assert [box if box[2] else None for box in made] == expected


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_cutout_is_cut_off_at_the_border(size: tuple[int, int]) -> None:
    u, side = draws(300, 2), torch.arange(300) % 7
    mask = cutout_boxes(u, *size, side).mask(*size, torch.device("cpu"))
    for i, (a, b) in enumerate(u.tolist()):
        y, x, half = int(a * size[0]), int(b * size[1]), int(side[i]) // 2
        expected = torch.zeros(size, dtype=torch.bool)
        expected[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = True
        assert torch.equal(mask[i], expected)


def test_boxes_reach_every_pixel_alike() -> None:
    often = erase_boxes(draws(4000), 16, 16, 1 / 3).mask(16, 16, torch.device("cpu")).float().mean(0)
    assert float(often.min()) > 0
    assert float((often - often.flip(0)).abs().max()) < 0.05
    assert float((often - often.flip(1)).abs().max()) < 0.05
