"""CutMix boxes: where they are, how large, and what that does to the mean of the ratio."""

import pytest
import torch

from sslkit.blend import BetaRatio, boxes
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms import reference
from tests.algorithms.make import part, setup

CPU = torch.device("cpu")
SIZES = [(8, 8), (7, 5), (1, 9), (28, 28)]


def drawn(n: int, rows: int = 4, seed: int = 0) -> torch.Tensor:
    return Step(0, 1, seed).uniform("draws", rows, n, device=CPU)


@pytest.mark.parametrize("kind", ["published", "unbiased"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_boxes_are_the_loop(kind, height, width):
    n = 60
    u, lam = drawn(n), drawn(n, 1, seed=1)[0]
    lam[:3] = torch.tensor([0.0, 1.0, 0.5])
    found = boxes(lam, u, height, width, kind)
    for i in range(n):
        draws = u[:, i].tolist()
        if kind == "published":
            top, bottom, left, right = reference.published_box(lam[i].item(), draws[0], draws[1], height, width)
        else:
            top, bottom, left, right = reference.unbiased_box(lam[i].item(), draws, height, width)
        expected = torch.tensor([[top <= y < bottom and left <= x < right for x in range(width)]
                                 for y in range(height)])  # fmt: skip
        assert found[i].equal(expected)


def mean_share(lam: float, size: int) -> float:
    """Mean kept area over all centres: the sides are independent, so one diagonal of centres will do."""
    at = (torch.arange(size) + 0.5) / size
    inside = boxes(torch.full((size,), lam), at.expand(4, size), size, size, "published")
    sides = [inside.any(dim).sum(1).double().mean() for dim in (1, 2)]
    return 1 - float(sides[0] * sides[1]) / size**2


# Mean kept share of the anchor under the published rule, from the pinned implementation (Semi-ViT).
TABLE = {
    224: {0.1: 0.48, 0.2: 0.52, 0.3: 0.57, 0.5: 0.66, 0.7: 0.78, 0.9: 0.92},
    32: {0.1: 0.49, 0.2: 0.53, 0.3: 0.58, 0.5: 0.68, 0.7: 0.81, 0.9: 0.92},
    28: {0.1: 0.49, 0.2: 0.55, 0.3: 0.60, 0.5: 0.71, 0.7: 0.81, 0.9: 0.93},
}


@pytest.mark.parametrize(("size", "lam"), [(size, lam) for size, row in TABLE.items() for lam in row])
def test_published_boxes_favour_the_anchor_as_tabulated(size, lam):
    assert mean_share(lam, size) == pytest.approx(TABLE[size][lam], abs=0.0125)  # the table has two digits


@pytest.mark.parametrize("size", [8, 9, 28, 32, 224])
def test_published_boxes_never_take_more_than_asked(size):
    for lam in (0.1, 0.3, 0.5, 0.9):
        centres = [(y + 0.5) / size for y in range(size)]
        areas = [reference.published_box(lam, y, 0.5, size, size) for y in centres]
        assert all(reference.kept_area(box, size, size) >= lam - 1e-6 for box in areas)
        root = (1 - lam) ** 0.5
        limit = 1 - (root - root**2 / 4) ** 2
        assert mean_share(lam, size) == pytest.approx(limit, abs=1.7 / size)


@pytest.mark.parametrize("lam", [0.0, 0.1, 0.37, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 5)])
def test_unbiased_boxes_have_the_wanted_mean(lam, height, width):
    n = 40_000
    inside = boxes(torch.full((n,), lam), drawn(n), height, width, "unbiased").double()
    share = 1 - inside.mean((1, 2))
    error = share.std() / n**0.5
    assert abs(share.mean() - lam) <= 4 * error + 1e-9


def test_unbiased_boxes_lie_inside_and_everywhere():
    n = 20_000
    inside = boxes(torch.full((n,), 0.75), drawn(n), 8, 8, "unbiased")  # sides of exactly 4
    assert inside.sum((1, 2)).unique().tolist() == [16]
    rows = inside.any(2).int().argmax(1).bincount(minlength=5)
    assert len(rows) == 5
    assert (rows - n / 5).abs().max() < 5 * (n * 0.2 * 0.8) ** 0.5


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 3.0])
def test_beta_ratios_are_beta_distributed(alpha):
    from scipy.stats import beta, kstest

    ratio = BetaRatio(alpha, alpha, 0.5)
    found = [ratio.draw(3, Step(i, 1000, 5), CPU, "mixer")[0] for i in range(1000)]
    assert all(lam.shape == (3,) and lam.unique().numel() == 1 for lam in found)  # one draw a batch
    assert kstest([lam[0].item() for lam in found], beta(alpha, alpha).cdf).pvalue > 1e-3


def test_switch_chooses_cutmix_and_its_distribution():
    ratio = BetaRatio(0.3, 40.0, 0.25)
    drawn = [ratio.draw(1, Step(i, 2000, 5), CPU, "mixer") for i in range(2000)]
    cut = torch.cat([c for _, c, _ in drawn])
    lam = torch.cat([x for x, _, _ in drawn])
    assert cut.float().mean().item() == pytest.approx(0.25, abs=0.05)
    for values, alpha in ((lam[~cut], 0.3), (lam[cut], 40.0)):
        assert values.mean().item() == pytest.approx(0.5, abs=0.05)
        assert values.std().item() == pytest.approx((4 * (2 * alpha + 1)) ** -0.5, rel=0.1)
    assert not BetaRatio(1, 1, 0.0).draw(2, Step(0, 1, 0), CPU, "mixer")[1].any()
    assert BetaRatio(1, 1, 1.0).draw(2, Step(0, 1, 0), CPU, "mixer")[1].all()


WRONG = [
    ({"alpha": 0.0}, "mixer.alpha"),
    ({"cutmix_alpha": -1}, "mixer.cutmix_alpha"),
    ({"switch": 1.5}, "mixer.switch"),
]


@pytest.mark.parametrize(("wrong", "names"), WRONG)
def test_ratios_out_of_range_are_refused(wrong, names):
    with pytest.raises(UserError, match=names):
        part("mixer", "pseudo", setup(), **wrong)
