"""Label efficiency against curves whose inverse is known."""

from __future__ import annotations

import numpy as np
import pytest

from sslkit.harness.efficiency import Worth, needed, worth

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
    assert worth(LABELS, curve, np.full(8, 45.0)) == pytest.approx((20 * 2**1.5,) * 3)


@pytest.mark.slow
def test_the_interval_holds_what_it_should() -> None:
    truth = 20 * 2**1.5
    held = []
    for i in range(60):
        noise = DRAW.normal(0, 1, (8, 1))  # of a seed, in curve and row alike, and of each value
        curve = CURVE + noise + DRAW.normal(0, 1, (8, len(LABELS)))
        mean, low, high = worth(LABELS, curve, 45.0 + noise[:, 0] + DRAW.normal(0, 1, 8), seed=i)
        assert low <= mean <= high
        held.append(low <= truth <= high)
    assert 0.8 <= np.mean(held) <= 1.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((57.0, 40.0, 80.2), "worth 57 labels of fine-tuning (95% 40 to 80, n = 8)"),
        ((np.inf, 400.0, np.inf), "worth >= 1000 labels of fine-tuning (95% 400 to >= 1000, n = 8)"),
        ((-np.inf, -np.inf, 25.0), "worth < 20 labels of fine-tuning (95% < 20 to 25, n = 8)"),
    ],
)
def test_the_sentence(values: tuple[float, float, float], words: str) -> None:
    assert words in str(Worth("4/class", "fixmatch", 40, *values, 20, 1000, 8))
    assert "95%" not in str(Worth("4/class", "fixmatch", 40, *values, 20, 1000, 2))
