"""Policies and the views they give: what is drawn, for whom, and that nobody else is touched."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from sslkit.augment.plan import plan
from sslkit.augment.policy import POLICIES, Policy
from sslkit.augment.render import CHUNK, normalise, view
from sslkit.randomness import Draw
from tests.augment.pictures import draws, photos

MEAN, STD = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 1.0, 2.0])
ZERO, ONE = torch.zeros(3), torch.ones(3)
EVERYTHING = Policy(
    pad=0.1, crop=0.3, shift=0.1, rotate=20, flip=True, brightness=0.4, contrast=0.4, saturation=0.4, jitter=0.8,
    grayscale=0.3, blur=0.5, solarize=0.3, randaugment="rand-m9-mstd0.5-inc1", cutout=0.5, cutout_random=True,
    erase=0.5,
)  # fmt: skip
NAMED = {name: replace(policy, flip=True) for name, policy in POLICIES.items()} | {"everything": EVERYTHING}


def test_plain_is_the_image_normalised() -> None:
    x = photos(5, 8, 8)
    expected = (x.float() / 255 - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    assert torch.equal(normalise(x, MEAN, STD), expected)
    assert torch.equal(view(x, POLICIES["plain"], draws(5), MEAN, STD), expected)


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (13, 30), (384, 384)], ids=str)
@pytest.mark.parametrize("name", NAMED)
def test_any_size_and_the_input_stays(name: str, size: tuple[int, int]) -> None:
    x = photos(3, *size)
    before = x.clone()
    made = view(x, NAMED[name], draws(3), MEAN, STD)
    assert made.shape == x.shape
    assert made.dtype == torch.float32
    assert made.isfinite().all()
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", NAMED)
def test_an_image_is_changed_by_its_own_draws_alone(name: str) -> None:
    """Bit for bit the same alone, in another order, and in a batch that is worked on in several pieces."""
    n = 1000
    x = photos(50, 16, 16)[torch.arange(n) % 50]
    draw = Draw(9, torch.arange(n) * 7, torch.arange(n) % 3)
    whole = view(x, NAMED[name], draw, MEAN, STD)
    for i in (0, 1, 77, 999):
        assert torch.equal(view(x[i : i + 1], NAMED[name], draw.of(slice(i, i + 1)), MEAN, STD)[0], whole[i])
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:100]
    assert torch.equal(view(x[order], NAMED[name], draw.of(order), MEAN, STD), whole[order])
    large = photos(2, 224, 224)[torch.arange(30) % 2]
    assert large.numel() > 2 * CHUNK
    made = view(large, NAMED[name], draws(30), MEAN, STD)
    assert torch.equal(view(large[28:], NAMED[name], draws(30).of(slice(28, 30)), MEAN, STD), made[28:])


@pytest.mark.parametrize("name", [name for name in NAMED if name != "plain"])
def test_seed_sample_and_visit_change_the_view(name: str) -> None:
    x = photos(1, 32, 32).expand(40, -1, -1, -1)
    sample, visit = torch.arange(40), torch.zeros(40, dtype=torch.int64)
    views = [
        view(x, NAMED[name], Draw(*which), MEAN, STD)
        for which in ((1, sample, visit), (2, sample, visit), (1, sample + 40, visit), (1, sample, visit + 1))
    ]
    for a, b in itertools.combinations(views, 2):
        assert float((a != b).flatten(1).any(1).float().mean()) > 0.3  # flips alone agree for a half


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", NAMED)
def test_a_gpu_gives_the_same_views(name: str) -> None:
    """Within a grey level, but for the few places whose coordinate is rounded to the other side."""
    x, zero, one = photos(60, 32, 32), ZERO, ONE / 255
    here = view(x, NAMED[name], draws(60), zero, one)
    there = view(x.cuda(), NAMED[name], draws(60), zero.cuda(), one.cuda()).cpu()
    off = (here - there).abs()
    assert float((off > 1.01).float().mean()) < 1e-3
    assert float(off.mean()) < 0.02


def test_workers_give_the_same_views() -> None:
    """The functions are pure: loader processes may call them."""
    here = torch.stack([Seen()[i] for i in range(8)])
    there = torch.cat(list(torch.utils.data.DataLoader(Seen(), batch_size=4, num_workers=2)))
    assert torch.equal(here, there)


class Seen(torch.utils.data.Dataset[Tensor]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> Tensor:
        x = photos(8, 16, 16)[i : i + 1]
        return view(x, EVERYTHING, draws(8).of(slice(i, i + 1)), MEAN, STD)[0]


# One field at a time.


def test_flip_mirrors_half_of_the_images() -> None:
    x = photos(1, 8, 8).expand(400, -1, -1, -1)
    made = view(x, Policy(flip=True), draws(400), ZERO, ONE)
    plain = normalise(x, ZERO, ONE)
    mirrored = (made == plain.flip(3)).flatten(1).all(1)
    assert torch.equal(~mirrored, (made == plain).flatten(1).all(1))
    assert stats.binomtest(int(mirrored.sum()), 400).pvalue > 1e-4


def test_padding_shifts_are_uniform_whole_pixels() -> None:
    drawn = plan(Policy(pad=0.125), draws(9000), 32, 16).shift
    assert drawn is not None
    for column, reach in ((drawn[:, 0], 4), (drawn[:, 1], 2)):
        counts = Counter(column.tolist())
        assert sorted(counts) == list(range(-reach, reach + 1))
        assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_fractional_shift_stays_within_its_range_and_covers_it() -> None:
    x = torch.zeros(500, 3, 8, 8, dtype=torch.uint8)
    x[:, :, 3:5, 3:5] = 255
    made = view(x, Policy(shift=0.25), draws(500), ZERO, ONE)[:, 0]
    at = torch.arange(8) + 0.5
    for axis in (1, 2):
        moved = (made.sum(3 - axis) * at).sum(1) / made.sum((1, 2)) - 4
        assert float(moved.abs().max()) <= 2.02  # grey levels are whole
        assert float(moved.min()) < -1.7
        assert float(moved.max()) > 1.7
        assert float(moved.mean()) == pytest.approx(0, abs=0.2)


def test_rotation_is_about_the_middle_and_uniform() -> None:
    x = torch.zeros(800, 3, 33, 33, dtype=torch.uint8)
    x[:, :, 16, 26:29] = 255  # to the right of the middle
    made = view(x, Policy(rotate=60), draws(800), ZERO, ONE)[:, 0]
    place = torch.arange(33) - 16.0
    down, right = ((made.sum(2) * place).sum(1), (made.sum(1) * place).sum(1))
    angle = torch.rad2deg(torch.atan2(down, right))
    assert float(angle.abs().max()) < 62
    assert stats.kstest(angle.numpy(), stats.uniform(-60, 120).cdf).pvalue > 1e-4


def test_jitter_draws_each_operation_once_in_every_order() -> None:
    slots = plan(Policy(brightness=0.4, contrast=0.4, saturation=0.2), draws(3000), 8, 8).ops
    orders = Counter(zip(*(names for names, *_ in slots), strict=True))
    assert set(orders) == set(itertools.permutations(("brightness", "contrast", "color")))
    assert stats.chisquare(list(orders.values())).pvalue > 1e-4
    for op, reach in (("brightness", 0.4), ("contrast", 0.4), ("color", 0.2)):
        value = torch.cat([v[torch.tensor([name == op for name in names])] for names, v, _ in slots])
        assert stats.kstest(value.numpy(), stats.uniform(1 - reach, 2 * reach).cdf).pvalue > 1e-4


@pytest.mark.parametrize("field", ["jitter", "grayscale", "solarize", "blur", "erase"])
def test_probabilities(field: str) -> None:
    chosen: dict[str, Any] = {field: 0.3}
    policy = replace(Policy(brightness=0.4 if field == "jitter" else 0.0), **chosen)
    drawn = plan(policy, draws(4000), 16, 16)
    if field == "blur":
        assert drawn.blur is not None
        hit = [s > 0 for s in drawn.blur.tolist()]
    elif field == "erase":
        assert drawn.erase is not None
        hit = [h > 0 for h in drawn.erase.height.tolist()]
    else:
        hit = [name != "identity" for name in drawn.ops[0][0]]
    assert stats.binomtest(sum(hit), 4000, 0.3).pvalue > 1e-4


def test_cutout_is_mid_grey_and_of_its_size() -> None:
    x = torch.full((500, 3, 32, 32), 255, dtype=torch.uint8)
    made = view(x, Policy(cutout=0.5), draws(500), MEAN, STD)
    grey = (0.5 - MEAN) / STD
    inside = (made == grey[:, None, None]).all(1)
    area = inside.sum((1, 2))
    assert int(area.max()) == 16 * 16
    assert int(area.min()) >= 8 * 8
    random = plan(Policy(cutout=0.5, cutout_random=True), draws(4000), 32, 32).cutout
    assert random is not None
    inner = (random.top > 0) & (random.left > 0) & (random.top + random.height < 32)
    assert set(random.height[inner].tolist()) == {2 * k for k in range(9)}


def test_erased_boxes_are_normal_noise_and_grey_on_grey_images() -> None:
    x = torch.full((400, 3, 32, 32), 255, dtype=torch.uint8)
    x[200:, 1] = 0
    plain = normalise(x, MEAN, STD)
    made = view(x, Policy(erase=1.0), draws(400), MEAN, STD)
    gone = (made != plain).any(1)
    noise = made.permute(0, 2, 3, 1)[200:][gone[200:]]  # (pixels, 3)
    assert stats.kstest(noise.flatten()[:20000].numpy(), stats.norm.cdf).pvalue > 1e-4
    assert torch.corrcoef(noise.t())[0, 1:].abs().max() < 0.03
    grey = made.permute(0, 2, 3, 1)[:200][gone[:200]]
    assert torch.equal(grey, grey[:, :1].expand_as(grey))


def test_a_box_may_be_of_the_mean_colour() -> None:
    x = torch.full((50, 3, 16, 16), 255, dtype=torch.uint8)
    made = view(x, Policy(erase=1.0, erase_fill="mean"), draws(50), MEAN, STD)
    gone = made[:, 0] == 0
    assert torch.equal((made == 0).all(1), gone)
    rows, columns = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(gone.sum((1, 2)), rows * columns)  # one box


@pytest.mark.parametrize("name", NAMED)
def test_grey_images_stay_grey(name: str) -> None:
    x = photos(40, 16, 16)[:, :1].expand(-1, 3, -1, -1)
    policy = NAMED[name]
    if policy.randaugment.startswith("rand"):
        policy = replace(policy, randaugment="usb-n3")  # timm's fill is ImageNet's mean colour
    made = view(x, policy, draws(40), torch.full((3,), 0.3), torch.full((3,), 0.4))
    assert torch.equal(made, made[:, :1].expand_as(made))


SHARES = [f.name for f in fields(Policy) if f.type == "float" and f.name != "rotate"]


@pytest.mark.parametrize("field", SHARES)
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_ranges(field: str, value: float) -> None:
    wrong: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=field):
        Policy(**wrong)


def test_other_mistakes() -> None:
    with pytest.raises(ValueError, match="rotate"):
        Policy(rotate=181)
    with pytest.raises(ValueError, match="randaugment"):
        Policy(randaugment="ctaugment")
