"""Intervals and what twice the labels bring, beside SciPy and beside laws that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sslkit.harness.advise.numbers import CHOICE, accuracy, difference, doubled


@pytest.mark.parametrize(("right", "n"), [(0, 12), (33, 40), (160, 160)])
def test_the_interval_is_wilsons(right: int, n: int) -> None:
    seen = np.concatenate([np.ones(right), np.zeros(n - right), [np.nan] * 3])
    wanted = stats.binomtest(right, n).proportion_ci(1 - 0.05 / CHOICE, "wilson")
    found = accuracy(seen)
    assert found.value == right / n
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_a_difference_is_of_the_same_images() -> None:
    a, b = np.array([1, 1, 1, 0, 0, np.nan]), np.array([1, 0, 0, 1, 0, 1.0])
    found = difference(a, b)
    assert found.value == pytest.approx(1 / 5)
    p, q = 3 / 7, 2 / 7  # won and lost, half an image added to each of four cells
    half = 1.959964 * np.sqrt((p + q - (p - q) ** 2) / 7)
    assert (found.low, found.high) == pytest.approx((p - q - half, p - q + half), abs=1e-6)
    assert difference(b, a).value == -found.value


def test_of_equal_rows_the_difference_is_about_nothing() -> None:
    found = difference(np.ones(100), np.ones(100))
    assert found.value == 0
    assert found.low < 0 < found.high


def test_twice_the_labels_follow_the_power_law() -> None:
    n = 100_000
    errors = {25.0: 0.4, 50: 0.4 * 2**-0.5, 100: 0.2}
    curve = {size: (np.arange(n) >= round(e * n)).astype(float) for size, e in errors.items()}
    found = doubled(curve)
    assert found is not None
    assert found.value == pytest.approx(0.2 * (1 - 2**-0.5), abs=1e-4)
    assert found.low < found.value < found.high


def test_a_curve_that_falls_promises_nothing_and_one_point_is_no_curve() -> None:
    falling = {10.0: np.array([1.0, 1, 0, 0] * 20), 20.0: np.array([1.0, 0, 0, 0] * 20)}
    assert doubled(falling) is not None
    assert doubled(falling).value == 0  # type: ignore[union-attr]
    assert doubled({10.0: falling[10.0]}) is None
