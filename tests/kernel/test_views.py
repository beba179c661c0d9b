"""What a policy does to an image, and to no other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslkit.randomness import uniform
from sslkit.views import DRAWS, Policy, normalise, view

MEAN, STD = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 1.0, 2.0])
ZERO, ONE = torch.zeros(3), torch.ones(3)


def pictures(n: int, size: int = 8) -> Tensor:
    return torch.randint(0, 256, (n, 3, size, size), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def draws(n: int, **fixed: float) -> Tensor:
    u = uniform(3, torch.arange(n * DRAWS)).view(n, DRAWS).clone()
    for column, value in fixed.items():
        u[:, int(column[1:])] = value
    return u


def test_no_policy_is_the_image_normalised() -> None:
    x = pictures(5)
    expected = (x.float() / 255 - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    assert torch.equal(normalise(x, MEAN, STD), expected)
    assert torch.equal(view(x, Policy(), draws(5), MEAN, STD), expected)


def test_the_input_is_not_modified() -> None:
    x = pictures(4)
    before = x.clone()
    view(x, Policy(0.2, 20, True, 0.5, 0.5, 1.0), draws(4), MEAN, STD)
    assert torch.equal(x, before)


def test_flip_mirrors_half_of_the_images() -> None:
    x = pictures(400)
    plain = normalise(x, ZERO, ONE)
    made = view(x, Policy(flip=True), draws(400), ZERO, ONE)
    is_plain = ((made - plain).abs().amax((1, 2, 3)) < 1e-5).float()
    is_mirror = ((made - plain.flip(3)).abs().amax((1, 2, 3)) < 1e-5).float()
    assert torch.equal(is_plain + is_mirror, torch.ones(400))
    assert 0.4 < float(is_mirror.mean()) < 0.6


def test_shift_moves_by_whole_pixels_where_asked() -> None:
    x = pictures(1)
    plain = normalise(x, ZERO, ONE)
    right = view(x, Policy(shift=0.25), draws(1, _1=1.0, _2=0.5), ZERO, ONE)  # 2 of 8 pixels
    torch.testing.assert_close(right[..., :6], plain[..., 2:])
    down = view(x, Policy(shift=0.25), draws(1, _1=0.5, _2=0.0), ZERO, ONE)
    torch.testing.assert_close(down[:, :, 2:], plain[:, :, :6])


def test_shift_stays_within_its_range_and_covers_it() -> None:
    x = torch.zeros(500, 3, 8, 8, dtype=torch.uint8)
    x[:, :, 3:5, 3:5] = 255
    made = view(x, Policy(shift=0.25), draws(500), ZERO, ONE)[:, 0]
    at = torch.arange(8) + 0.5
    for axis in (1, 2):
        centre = (made.sum(3 - axis) * at).sum(1) / made.sum((1, 2))
        moved = centre - 4
        assert float(moved.abs().max()) <= 2 + 1e-4
        assert float(moved.min()) < -1.7
        assert float(moved.max()) > 1.7
        assert float(moved.mean()) == pytest.approx(0, abs=0.2)


def test_rotation_by_a_quarter_turn() -> None:
    x = pictures(1)
    plain = normalise(x, ZERO, ONE)
    made = view(x, Policy(rotate=90), draws(1, _0=1.0), ZERO, ONE)
    turns = [(made - plain.rot90(k, (2, 3))).abs().max() < 1e-4 for k in (1, 3)]
    assert sum(turns) == 1
    still = view(x, Policy(rotate=90), draws(1, _0=0.5), ZERO, ONE)
    torch.testing.assert_close(still, plain, atol=1e-5, rtol=0)


def test_brightness_and_contrast() -> None:
    x = pictures(1) // 4 + 64  # nothing is clipped
    plain = x.float() / 255
    bright = view(x, Policy(brightness=0.5), draws(1, _4=1.0), ZERO, ONE)
    torch.testing.assert_close(bright, plain * 1.5)
    flat = view(x, Policy(contrast=1.0), draws(1, _5=0.0), ZERO, ONE)
    torch.testing.assert_close(flat, plain.mean().expand_as(plain), atol=1e-5, rtol=0)
    wild = view(pictures(50), Policy(brightness=1, contrast=1), draws(50), ZERO, ONE)
    assert 0 <= float(wild.min()) <= float(wild.max()) <= 1


@pytest.mark.parametrize("area", [0.02, 0.1, 0.33])
def test_erased_box_has_its_area_and_is_the_mean_colour(area: float) -> None:
    x = torch.full((2000, 3, 32, 32), 255, dtype=torch.uint8)
    made = view(x, Policy(erase=1.0, erase_area=area), draws(2000), MEAN, STD)
    gone = made[:, 0] == 0.0
    share = gone.float().mean((1, 2))
    slack = 2 * 32 * 0.5 / 32**2 * 2  # sides are rounded to pixels
    assert float(share.max()) <= area + slack
    assert float(share.min()) >= max(0.02 - slack, 0)
    rows, columns = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(gone.sum((1, 2)), rows * columns)  # one box
    assert torch.equal((made == 0).all(1), gone)  # in all channels


def test_share_of_erased_images() -> None:
    x = torch.full((2000, 3, 8, 8), 255, dtype=torch.uint8)
    made = view(x, Policy(erase=0.3), draws(2000), MEAN, STD)
    assert float((made == 0).flatten(1).any(1).float().mean()) == pytest.approx(0.3, abs=0.04)


def test_places_of_boxes_reach_every_corner() -> None:
    x = torch.full((2000, 3, 8, 8), 255, dtype=torch.uint8)
    gone = (view(x, Policy(erase=1.0), draws(2000), MEAN, STD) == 0)[:, 0]
    often = gone.float().mean(0)
    assert float(often.min()) > 0
    assert float((often - often.flip(0)).abs().max()) < 0.05
    assert float((often - often.flip(1)).abs().max()) < 0.05


@pytest.mark.parametrize("policy", [Policy(0.2, 20, True, 0.4, 0.4, 0.5), Policy(erase=1.0), Policy(flip=True)])
def test_an_image_is_changed_by_its_own_row_alone(policy: Policy) -> None:
    x, u = pictures(6), draws(6)
    whole = view(x, policy, u, MEAN, STD)
    alone = torch.cat([view(x[i : i + 1], policy, u[i : i + 1], MEAN, STD) for i in range(6)])
    torch.testing.assert_close(alone, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("field", ["shift", "brightness", "contrast", "erase", "erase_area"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_ranges(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Policy(**{field: value})
