"""Statistics against brute force, scipy, and simulation."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sslkit.harness.numbers.statistics import (
    SKEWED,
    Difference,
    crossed,
    detectable,
    differ,
    holm,
    seeds_needed,
    sign_flip_p,
    smallest_p,
    t_interval,
    trust,
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


def test_what_a_table_says_of_skewed_differences_is_so_and_is_in_the_guide() -> None:
    row = next(line for line in Path("docs/comparing.md").read_text().splitlines() if "(t) | skewed" in line)
    measured = [float(cell.strip().rstrip("%")) for cell in row.split("|")[3:-1]]
    for (n, said), guide in zip(SKEWED.items(), measured, strict=True):
        low, high = t_interval(np.random.default_rng(n).exponential(1.0, (n, 200_000)) - 1.0)
        assert 100 * np.mean((low < 0) & (high > 0)) == pytest.approx(said, abs=0.8)
        assert round(guide) == said
        assert f", {said}% where" in trust(n)
    assert trust(4).replace("n = 4", "n = 3") == trust(3), "the next fewer seeds that were simulated"
    assert trust(100).replace("n = 100", "n = 20") == trust(20)


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
        assert sign_flip_p([*d]) == pytest.approx(extreme / 2**n)


def test_sign_flips_are_scipys_permutation_test() -> None:
    d = DRAW.normal(0.4, 1, 8)
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p([*d]) == pytest.approx(theirs.pvalue)


def test_above_twenty_seeds_flips_are_drawn() -> None:
    """scipy's test by as many draws; a clear difference has the smallest p, and none is left without a test."""
    d = stats.zscore(DRAW.normal(0, 1, 30)) + 0.3
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=100_000, rng=1)
    assert sign_flip_p(d) == pytest.approx(theirs.pvalue, abs=0.005)
    assert sign_flip_p(d) == sign_flip_p(d)
    assert sign_flip_p([1.0] * 30) == smallest_p(30) == 1e-5
    assert differ([*d], comparisons=10).p is not None


def test_the_smallest_p_is_reached_and_not_passed() -> None:
    for n in range(1, 12):
        assert sign_flip_p([*np.arange(1.0, n + 1)]) == smallest_p(n)
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


@pytest.mark.parametrize(
    ("n", "comparisons"), [(3, 1), (3, 4), (5, 1), (5, 4), (6, 1), (8, 1), (8, 4), (8, 8), (10, 4), (14, 6)]
)
def test_the_detectable_difference_is_shown_four_times_in_five(n: int, comparisons: int) -> None:
    """By the verdict itself, of one row among so many; few seeds reach the test's level only if all of them agree."""
    shown, times = 0, 500 if n <= 10 else 150
    for d in DRAW.normal(detectable(1.5, n, comparisons), 1.5, (times, n)):
        found = differ([*d], comparisons)
        adjusted = None if found.p is None else holm([found.p], comparisons)[0]
        shown += verdict(replace(found, p_adjusted=adjusted), delta=0) == "better"
    assert 0.74 < shown / times < 0.87


def arms(seeds: int, images: int, own: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Whether two arms are right: the second as often, by seeds and by images that are the harder for one of them."""
    alike, shift, part = (
        DRAW.normal(1, 1.5, images),
        DRAW.normal(0, 0.3, (2, seeds, 1)),
        DRAW.normal(0, own, (2, images)),
    )
    a, b = (DRAW.random((seeds, images)) < 1 / (1 + np.exp(-alike - shift[i] - part[i])) for i in range(2))
    return a, b


def test_the_interval_over_seeds_and_images_by_loops() -> None:
    """The textbook's two-way analysis of variance, cell by cell; Satterthwaite's degrees of freedom."""
    for s, n in ((3, 40), (5, 12)):
        a, b = arms(s, n, own=2.0)
        d = [[100.0 * (float(a[i, j]) - float(b[i, j])) for j in range(n)] for i in range(s)]
        mean = sum(map(sum, d)) / (s * n)
        row = [sum(d[i]) / n for i in range(s)]
        column = [sum(d[i][j] for i in range(s)) / s for j in range(n)]
        of_rows = n * sum((x - mean) ** 2 for x in row) / (s - 1)
        of_columns = s * sum((x - mean) ** 2 for x in column) / (n - 1)
        cells = itertools.product(range(s), range(n))
        rest = sum((d[i][j] - row[i] - column[j] + mean) ** 2 for i, j in cells) / ((s - 1) * (n - 1))
        seeds, images = of_rows / (s * n), max(0.0, (of_columns - rest) / (s * n))
        freedom = (seeds + images) ** 2 / (seeds**2 / (s - 1) + images**2 / (n - 1))
        half = stats.t.ppf(0.975, freedom) * math.sqrt(seeds + images)
        half = max(half, stats.t.ppf(0.975, s - 1) * math.sqrt(seeds))
        assert crossed(a, b) == pytest.approx((mean - half, mean + half))


def test_over_seeds_and_images_is_no_surer_than_over_seeds() -> None:
    for _ in range(50):
        a, b = arms(3, 60, own=1.0)
        low, high = t_interval(100.0 * (a.mean(1) - b.mean(1)))
        both = crossed(a, b)
        assert both[0] <= low + 1e-9
        assert high - 1e-9 <= both[1]


@pytest.mark.parametrize("own", [0.0, 1.5])
@pytest.mark.parametrize("seeds", [3, 8])
def test_the_interval_over_seeds_and_images_covers_what_it_says(seeds: int, own: float) -> None:
    covered = [low < 0 < high for low, high in (crossed(*arms(seeds, 300, own)) for _ in range(1000))]
    assert 0.93 < np.mean(covered) < 0.97


def test_equal_arms_have_no_difference_on_any_images() -> None:
    a = DRAW.random((5, 40)) < 0.5
    assert crossed(a, a) == (0, 0)


def test_a_difference_says_p_only_where_it_can_mean_something() -> None:
    few = differ([1.0, 2.0, 1.5], comparisons=1)
    assert few.p is None
    assert few.wins == 3
    many = differ([1.0, 2.0, 1.5, 1.2, 0.7, -0.1, 1.1, 2.2], comparisons=1)
    assert many.p == pytest.approx(4 / 256)
    assert differ([1.0] * 7 + [2.0], comparisons=100).p is None
    assert math.isclose(many.mean, 9.6 / 8)


def test_a_seed_on_which_both_are_equal_is_no_win() -> None:
    found = differ([0.0, 1.0, -1.0, 0.0, 2.0], comparisons=1)
    assert (found.wins, found.ties) == (2, 2)


def test_three_equal_differences_show_nothing() -> None:
    """Steps of a small test set: without any spread Student's interval has no width, and says nothing."""
    steps = [100 * (k + 8) / 797 - 100 * k / 797 for k in (22, 23, 722)]
    assert np.ptp(steps) != 0, "rounding alone tells them apart"
    assert verdict(differ(steps, comparisons=1)) == "not significant"
    assert verdict(differ([-x for x in steps], comparisons=1)) == "not significant"
    enough = differ(steps * 3, comparisons=1)
    assert verdict(replace(enough, p_adjusted=enough.p)) == "better", "the test needs no spread"


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.1, 3.0, "better"),
        (-3.0, -0.1, "worse"),
        (-0.9, 0.9, "equivalent within ±1"),
        (-0.9, 1.1, "not significant"),
        (0.0, 0.5, "equivalent within ±1"),
    ],
)
def test_verdicts(low: float, high: float, says: str) -> None:
    assert verdict(Difference((low + high) / 2, low, high, 8, 4, None)) == says


def test_an_interval_beside_0_is_not_enough_where_the_test_disagrees() -> None:
    """One of many comparisons: its interval excludes 0, its adjusted p is too large."""
    assert verdict(Difference(0.3, 0.05, 0.5, 8, 6, 0.03, p_adjusted=0.14)) == "equivalent within ±1"
    assert verdict(Difference(2.0, 0.5, 3.5, 8, 7, 0.03, p_adjusted=0.14)) == "not significant"
    assert verdict(Difference(2.0, 0.5, 3.5, 8, 8, 0.008, p_adjusted=0.04)) == "better"


@pytest.mark.parametrize("sign", [1, -1])
def test_among_many_comparisons_a_claim_needs_a_wider_interval(sign: int) -> None:
    """By hand: mean 2, sd 1.5, n = 5; half widths are t(4) sd / sqrt(5), 1.86 at 95%, 3.09 at 99%."""
    d = [sign * (2 + 1.5 * z) for z in (-1, -1, 0, 1, 1)]
    alone, among = differ(d, comparisons=1), differ(d, comparisons=5)
    assert (alone.low, alone.high) == (among.low, among.high)
    assert (alone.p, among.p) == (None, None)
    assert verdict(alone) == ("better" if sign > 0 else "worse")
    assert verdict(among) == "not significant"
