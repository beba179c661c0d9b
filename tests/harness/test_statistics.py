"""Statistics against brute force, scipy, and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from sslkit.harness.statistics import (
    Difference,
    detectable,
    differ,
    holm,
    resampled,
    seeds_needed,
    sign_flip_p,
    smallest_p,
    t_interval,
    verdict,
)

DRAW = np.random.default_rng(5)


@pytest.mark.parametrize("n", [2, 3, 8, 30])
def test_the_t_interval_is_scipys(n: int) -> None:
    d = DRAW.normal(1, 2, n)
    expected = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert t_interval(d) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_the_t_interval_covers_what_it_says(n: int) -> None:
    found = DRAW.normal(0.7, 1.3, (4000, n))
    covered = [low < 0.7 < high for low, high in map(t_interval, found)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_one_difference_has_no_interval() -> None:
    with pytest.raises(ValueError, match="two differences"):
        t_interval([1.0])


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_sign_flips_are_counted_one_by_one(n: int) -> None:
    for _ in range(20):
        d = np.round(DRAW.normal(0.5, 1, n), 1)  # ties occur
        extreme = sum(
            abs(sum(s * x for s, x in zip(signs, d, strict=True))) >= abs(sum(d)) - 1e-9
            for signs in itertools.product((1, -1), repeat=n)
        )
        assert sign_flip_p(d) == pytest.approx(extreme / 2**n)


def test_sign_flips_are_scipys_permutation_test() -> None:
    d = DRAW.normal(0.4, 1, 8)
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(d) == pytest.approx(theirs.pvalue)


def test_above_twenty_seeds_flips_are_drawn() -> None:
    """scipy's test by as many draws; a clear difference has the smallest p, and none is left without a test."""
    d = stats.zscore(DRAW.normal(0, 1, 30)) + 0.3
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=100_000, rng=1)
    assert sign_flip_p(d) == pytest.approx(theirs.pvalue, abs=0.005)
    assert sign_flip_p(d) == sign_flip_p(d)
    assert sign_flip_p(np.full(30, 1.0)) == smallest_p(30) == 1e-5
    assert differ([*d], comparisons=10).p is not None


def test_the_smallest_p_is_reached_and_not_passed() -> None:
    for n in range(1, 12):
        assert sign_flip_p(np.arange(1.0, n + 1)) == smallest_p(n)
    for comparisons in range(1, 30):
        n = seeds_needed(comparisons)
        assert smallest_p(n) <= 0.05 / comparisons < smallest_p(n - 1)


def test_holm_by_its_definition() -> None:
    for size in (1, 2, 5, 9):
        p = DRAW.random(size).tolist()
        ranked = sorted(p)
        expected = [max(min(1, (size - k) * ranked[k]) for k in range(ranked.index(x) + 1)) for x in p]
        assert holm(p) == pytest.approx(expected)
    assert holm([]) == []


def test_holm_keeps_the_family_wise_error() -> None:
    """Sign flips of eight null differences, five comparisons: a false claim in at most 5% of 600 families."""
    wrong = 0
    for _ in range(600):
        p = [sign_flip_p(d) for d in DRAW.normal(0, 1, (5, 8))]
        wrong += min(holm(p)) <= 0.05
    assert wrong / 600 < 0.07


@pytest.mark.parametrize("n", [5, 8, 20])
def test_the_detectable_difference_is_found_four_times_in_five(n: int) -> None:
    d = DRAW.normal(detectable(1.5, n), 1.5, (6000, n))
    found = np.mean(stats.ttest_1samp(d, 0, axis=1).pvalue < 0.05)
    assert 0.78 < found < 0.9


def test_resampling_by_a_loop() -> None:
    """The percentiles of ten thousand draws, seed by seed and image by image."""
    a, b = DRAW.random((4, 30)) < 0.8, DRAW.random((4, 30)) < 0.6
    draw, means = np.random.default_rng(1), []
    for _ in range(10_000):
        seeds, images = draw.integers(0, 4, 4), draw.integers(0, 30, 30)
        means.append(100 * (a[seeds][:, images].mean() - b[seeds][:, images].mean()))
    low, high = resampled(a, b, resamples=10_000)
    assert (low, high) == pytest.approx(tuple(np.percentile(means, (2.5, 97.5))), abs=1.0)


def test_resampling_equal_arms_gives_nothing() -> None:
    a = DRAW.random((5, 40)) < 0.5
    assert resampled(a, a) == (0, 0)


def test_a_difference_says_p_only_where_it_can_mean_something() -> None:
    few = differ([1.0, 2.0, 1.5], comparisons=1)
    assert few.p is None
    assert few.wins == 3
    many = differ([1.0, 2.0, 1.5, 1.2, 0.7, -0.1, 1.1, 2.2], comparisons=1)
    assert many.p == pytest.approx(4 / 256)
    assert differ([1.0] * 7 + [2.0], comparisons=100).p is None
    assert math.isclose(many.mean, 9.6 / 8)


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.1, 3.0, "shown"),
        (-3.0, -0.1, "opposite"),
        (-0.9, 0.9, "equivalent within ±1"),
        (-0.9, 1.1, "not shown"),
        (0.0, 0.5, "equivalent within ±1"),
    ],
)
def test_verdicts(low: float, high: float, says: str) -> None:
    assert verdict(Difference((low + high) / 2, low, high, 8, 4, None)) == says


def test_an_interval_beside_0_is_not_enough_where_the_test_disagrees() -> None:
    """One of many comparisons: its interval excludes 0, its adjusted p is too large."""
    assert verdict(Difference(0.3, 0.05, 0.5, 8, 6, 0.03, 0.14)) == "equivalent within ±1"
    assert verdict(Difference(2.0, 0.5, 3.5, 8, 7, 0.03, 0.14)) == "not shown"
    assert verdict(Difference(2.0, 0.5, 3.5, 8, 8, 0.008, 0.04)) == "shown"


@pytest.mark.parametrize("sign", [1, -1])
def test_among_many_comparisons_a_claim_needs_a_wider_interval(sign: int) -> None:
    """By hand: mean 2, sd 1.5, n = 5; half widths are t(4) sd / sqrt(5), 1.86 at 95%, 3.09 at 99%."""
    d = [sign * (2 + 1.5 * z) for z in (-1, -1, 0, 1, 1)]
    alone, among = differ(d, comparisons=1), differ(d, comparisons=5)
    assert (alone.low, alone.high) == (among.low, among.high)
    assert (alone.p, among.p) == (None, None)
    assert verdict(alone) == ("shown" if sign > 0 else "opposite")
    assert verdict(among) == "not shown"
