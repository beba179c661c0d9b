"""Statistics of paired differences between arms: intervals, exact tests, and a sentence about them.

All functions take differences a - b of one arm and its reference, a value per seed, in points.
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
RESAMPLES = 2000
EXACT, FLIPS = 20, 100_000  # seeds of which all sign flips are counted; how many are drawn for more


@dataclass(frozen=True)
class Difference:
    """What n paired differences say."""

    mean: float
    low: float  # 95% t-interval
    high: float
    n: int
    wins: int
    p: float | None  # sign-flip test; None where it cannot reach the level
    p_adjusted: float | None = None  # after Holm's method over the declared comparisons
    apart: bool = True  # does Student's interval at 1 - 5% / comparisons (Bonferroni) exclude 0?


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


def detectable(sd: float, n: int, power: float = 0.8, level: float = LEVEL) -> float:
    """The mean difference that a paired t-test of n seeds finds with this power, in the unit of `sd`.

    By the usual sum of two quantiles of Student's distribution, a little too large for n below 5.
    """
    return float((stats.t.ppf(1 - level / 2, n - 1) + stats.t.ppf(power, n - 1)) * sd / np.sqrt(n))


def resampled(right_a: Array, right_b: Array, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95% percentile interval of the mean difference in points, seeds and test images resampled together.

    Args:
        right_a, right_b: (seeds, images) bool, whether an image was classified correctly; the images are the same.
    """
    difference = 100.0 * (right_a.astype(float) - right_b.astype(float))  # (S, N)
    draw = np.random.default_rng(seed)
    s, n = difference.shape
    means = [_again(draw, s) @ difference @ _again(draw, n) for _ in range(resamples)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def _again(draw: np.random.Generator, n: int) -> Array:
    """(n,) the share that each of n has in a sample of n with replacement."""
    return np.bincount(draw.integers(n, size=n), minlength=n) / n


def differ(differences: Sequence[float], comparisons: int, level: float = LEVEL) -> Difference:
    """Mean, interval, wins, and where `level` / `comparisons` can be reached p; none of 0 comparisons."""
    low, high = t_interval(differences)
    n = len(differences)
    reachable = bool(comparisons) and smallest_p(n) <= level / comparisons
    p = sign_flip_p(differences) if reachable else None
    wins = sum(d > 0 for d in differences)
    wide = t_interval(differences, 1 - level / max(1, comparisons))
    apart = bool(wide[0] > 0 or wide[1] < 0)
    return Difference(float(np.mean(differences)), float(low), float(high), n, wins, p, apart=apart)


def verdict(found: Difference, delta: float = 1.0) -> str:
    """shown, opposite, equivalent within delta, or not shown: what the 95% interval lies above, below or within.

    Above and below must also hold over all declared comparisons: by an adjusted p of at most `LEVEL` where one can be
    had, else by Bonferroni's interval.
    """
    told_apart = found.apart if found.p_adjusted is None else found.p_adjusted <= LEVEL
    if told_apart and found.low > 0:
        return "shown"
    if told_apart and found.high < 0:
        return "opposite"
    if -delta < found.low and found.high < delta:
        return f"equivalent within ±{delta:g}"
    return "not shown"
