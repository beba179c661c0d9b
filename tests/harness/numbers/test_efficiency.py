"""Label efficiency against curves whose inverse is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sslkit.harness.numbers.efficiency import Worth, needed, worth

LABELS = np.array([20, 40, 100, 250, 1000])
CURVE = 30 + 10 * np.log2(LABELS / 20)  # linear in the logarithm: 20 * 2 ** ((accuracy - 30) / 10)
DRAW = np.random.default_rng(3)


@pytest.mark.parametrize("wanted", [30.0, 35.0, 40.0, 47.3, 60.0, CURVE[-1]])
def test_a_straight_curve_is_inverted(wanted: float) -> None:
    assert needed(LABELS, CURVE, wanted) == pytest.approx(20 * 2 ** ((wanted - 30) / 10))


def test_outside_of_the_curve_nothing_is_invented() -> None:
    assert needed(LABELS, CURVE, CURVE[-1] + 0.1) == np.inf
    assert needed(LABELS, CURVE, 29.9) == -np.inf


def test_a_curve_that_falls_is_made_to_rise() -> None:
    noisy = np.array([30.0, 52.0, 48.0, 60.0, 70.0])  # 52 and 48 pool to 50
    assert needed(LABELS, noisy, 50.0) == pytest.approx(40)
    assert needed(LABELS, noisy, 55.0) == pytest.approx(np.sqrt(100 * 250))


def test_seeds_that_agree_have_no_interval() -> None:
    curve = np.tile(CURVE, (8, 1))
    assert worth(LABELS, curve, np.full(8, 45.0)) == pytest.approx((20 * 2**1.5,) * 3, rel=0.01)


def test_on_a_straight_curve_the_interval_is_students_of_the_labels_each_seed_needs() -> None:
    """With curves that are equal, accuracy is the logarithm of the labels in other units."""
    row = DRAW.normal(50.0, 2.0, 6)
    low, high = stats.ttest_1samp(row, 0).confidence_interval(0.95)
    found = worth(LABELS, np.tile(CURVE, (6, 1)), row)
    assert found == pytest.approx([20 * 2 ** ((x - 30) / 10) for x in (row.mean(), low, high)], rel=0.01)


def test_an_interval_that_leaves_the_curve_has_no_end() -> None:
    curve = np.tile(CURVE, (4, 1))
    _, low, high = worth(LABELS, curve, CURVE[-1] + np.array([-3.0, -1.0, 1.0, 2.0]))
    assert 40 < low < 1000
    assert high == np.inf
    assert worth(LABELS, curve, 25 + np.array([-0.1, 0.0, 0.1, 0.0])) == (-np.inf,) * 3
    assert worth(LABELS, curve, 95 + np.array([-0.1, 0.0, 0.1, 0.0])) == (np.inf,) * 3


@pytest.mark.parametrize("seeds", [3, 8])
def test_the_interval_holds_what_it_should(seeds: int) -> None:
    truth = 20 * 2**1.5
    held = []
    for _ in range(400):
        noise = DRAW.normal(0, 1, (seeds, 1))  # of a seed, in curve and row alike, and of each value
        curve = CURVE + noise + DRAW.normal(0, 1, (seeds, len(LABELS)))
        mean, low, high = worth(LABELS, curve, 45.0 + noise[:, 0] + DRAW.normal(0, 1, seeds))
        assert low <= mean <= high
        held.append(low <= truth <= high)
    assert 0.92 <= np.mean(held) <= 0.98


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((57.0, 40.0, 80.2), "is as accurate as finetune with 57 (95% CI 40 to 80, n = 8)"),
        ((np.inf, 400.0, np.inf), "is as accurate as finetune with >= 1000 (95% CI 400 to >= 1000, n = 8)"),
        ((-np.inf, -np.inf, 25.0), "is as accurate as finetune with < 20 (95% CI < 20 to 25, n = 8)"),
    ],
)
def test_the_sentence(values: tuple[float, float, float], words: str) -> None:
    assert words in str(Worth("4/class", "fixmatch", 40, *values, 20, 1000, 8))
    assert "95%" not in str(Worth("4/class", "fixmatch", 40, *values, 20, 1000, 2))
