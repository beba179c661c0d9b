"""Statistics of paired differences between arms: intervals, exact tests, and a sentence about them.

All functions take differences a - b of one arm and its reference, a value per seed, in points. What is drawn
has a fixed seed, so the same differences say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

Array = np.ndarray[Any, Any]
LEVEL = 0.05
SEEDS = 3  # fewer give values and no claim
EXACT, FLIPS = 20, 100_000  # seeds of which all sign flips are counted; how many are drawn for more
LISTED, TRIALS = 12, 1000  # of `detectable`
EQUAL = 1e-9  # points that are rounding
SKEWED = {3: 89, 5: 88, 8: 89, 20: 92}  # seeds -> of 100 intervals those that hold, by benchmarks/coverage.py


@dataclass(frozen=True)
class Difference:
    """What n paired differences say."""

    mean: float
    low: float  # 95% t-interval
    high: float
    n: int
    wins: int
    p: float | None  # sign-flip test; None where it cannot reach the level
    ties: int = 0
    p_adjusted: float | None = None  # after Holm's method over the declared comparisons
    apart: bool = True  # does Student's interval at 1 - 5% / comparisons (Bonferroni) exclude 0? Not without a spread


def t_interval(differences: ArrayLike, level: float = 0.95) -> tuple[Any, Any]:
    """Student's interval for the mean.

    Args:
        differences: (n,), or (n, K) for K intervals.

    Raises:
        ValueError: fewer than two differences.
    """
    d = np.asarray(differences, float)
    if len(d) < 2:
        raise ValueError(f"an interval needs two differences or more, got {len(d)}")
    half = stats.t.ppf(0.5 + level / 2, len(d) - 1) * d.std(0, ddof=1) / np.sqrt(len(d))
    return d.mean(0) - half, d.mean(0) + half


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the mean under sign flips (Fisher 1935): all 2^n up to n = 20, above it `FLIPS` drawn ones."""
    d = np.asarray(differences, float)
    if len(d) > EXACT:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), (FLIPS - 1, len(d)))
        sums = np.concatenate([[d.sum()], signs @ d])  # what was observed is one of them
    else:
        sums = np.zeros(1)
        for x in d:
            sums = np.concatenate([sums + x, sums - x])
    flipped = np.abs(sums)
    return float((flipped >= flipped[0] - 1e-9 * (1 + flipped[0])).mean())


def smallest_p(n: int) -> float:
    """The smallest p that n seeds can reach in the sign-flip test: 2^(1 - n), or one in `FLIPS`."""
    return 2.0 ** (1 - n) if n <= EXACT else 1 / FLIPS


def seeds_needed(comparisons: int, level: float = LEVEL) -> int:
    """Seeds from which on the test can reach `level` in each of so many comparisons."""
    return int(np.ceil(1 - np.log2(level / comparisons)))


def holm(p: Sequence[float], declared: int | None = None) -> list[float]:
    """Adjusted p values (Holm 1979), in the order given.

    Args:
        declared: comparisons that were declared, where not all have a p yet.
    """
    order, m = np.argsort(p), max(declared or 0, len(p))
    adjusted, last = np.empty(len(p)), 0.0
    for rank, i in enumerate(order):
        last = max(last, min(1.0, (m - rank) * p[i]))
        adjusted[i] = last
    return [float(x) for x in adjusted]


def detectable(sd: float, n: int, comparisons: int = 1, power: float = 0.8) -> float:
    """The mean difference that is *shown* with this power, as one of so many comparisons, in the unit of `sd`.

    In `TRIALS` simulated normal samples, the least shift of each with which its interval and its test are beside 0. Of
    sign flips, p is small enough while at most so many subsets of the seeds have a mean of 0 or below; above `LISTED`
    seeds, with too many subsets, Bonferroni's interval stands for the test.
    """
    d = np.random.default_rng(0).standard_normal((n, TRIALS))
    level = LEVEL / comparisons
    if n <= LISTED and smallest_p(n) <= level:
        subsets = (np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1  # (2^n - 1, n)
        most = int(level * 2 ** (n - 1)) - 1
        other = np.partition(subsets @ d / subsets.sum(1, keepdims=True), most, axis=0)[most]
    else:
        other = t_interval(d, 1 - level)[0]
    return float(sd * np.quantile(-np.minimum(t_interval(d)[0], other), power))


def crossed(right_a: Array, right_b: Array) -> tuple[float, float]:
    """95% interval of the mean difference in points where both the seeds and the test images might be others.

    The variance of the mean is that of the seeds' means, and what images add that are the harder for one arm in all
    seeds; Student's quantile is that of Satterthwaite's (1946) degrees of freedom. The interval is at least Student's
    over the seeds. To resample both instead stays within the range of the few seeds, and counts the noise of single
    answers up to three times (Owen 2007).

    Args:
        right_a, right_b: (seeds, images) bool, whether an image was classified correctly; the images are the same.

    Raises:
        ValueError: fewer than two seeds or images.
    """
    difference = 100.0 * (right_a.astype(float) - right_b.astype(float))  # (S, N)
    s, n = difference.shape
    seeds, images, mean = difference.mean(1), difference.mean(0), difference.mean()
    low, high = t_interval(seeds)
    noise = ((difference - seeds[:, None] - images + mean) ** 2).sum() / ((s - 1) * (n - 1))
    parts = np.array([seeds.var(ddof=1) / s, max(0.0, images.var(ddof=1) / n - noise / (s * n))])
    half = (high - low) / 2
    if parts.any():
        freedom = parts.sum() ** 2 / (parts**2 / (s - 1, n - 1)).sum()
        half = max(half, stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum()))
    return float(mean - half), float(mean + half)


def differ(differences: Sequence[float], comparisons: int, level: float = LEVEL) -> Difference:
    """Mean, interval, wins, and where `level` / `comparisons` can be reached p; none of 0 comparisons."""
    d = np.asarray(differences, float)
    reachable = bool(comparisons) and smallest_p(len(d)) <= level / comparisons
    wide = t_interval(d, 1 - level / max(1, comparisons))
    low, high = map(float, t_interval(d))
    return Difference(
        float(d.mean()), low, high, len(d),
        wins=int((d > EQUAL).sum()),
        p=sign_flip_p(differences) if reachable else None,
        ties=int((np.abs(d) <= EQUAL).sum()),
        apart=bool(np.ptp(d) > EQUAL and (wide[0] > 0 or wide[1] < 0)),
    )  # fmt: skip


def trust(n: int) -> str:
    """The coverage of intervals of so many seeds, for the note of a table."""
    held = SKEWED[max(seeds for seeds in SKEWED if seeds <= n)]
    return (
        f"Coverage of the 95% CI at n = {n}, simulated: 95% where differences are about normal, {held}% where they are "
        "strongly skewed."
    )


def verdict(found: Difference, delta: float = 1.0) -> str:
    """better, worse, equivalent within delta, or not significant: what the 95% interval lies above, below or within.

    Above and below must also hold over all declared comparisons: by an adjusted p of at most `LEVEL` where one can be
    had, else by Bonferroni's interval.
    """
    told_apart = found.apart if found.p_adjusted is None else found.p_adjusted <= LEVEL
    if told_apart and found.low > 0:
        return "better"
    if told_apart and found.high < 0:
        return "worse"
    if -delta < found.low and found.high < delta:
        return f"equivalent within ±{delta:g}"
    return "not significant"
