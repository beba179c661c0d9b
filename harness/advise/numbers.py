"""What judged images say: accuracy with an interval, differences, what twice the labels bring. Shares, not percent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sslkit.data.image import Array

LEVEL = 0.05
CHOICE = 2.0  # chosen on tuning draws, among 1, 2, 3 and 5
RESAMPLES = 2000
DRAW = 0.45  # sd of what twice the labels bring around what is stated, as a share of that; on tuning draws 0.38, 0.47


@dataclass(frozen=True)
class Share:
    """An estimate with its 95% interval."""

    value: float
    low: float
    high: float


def accuracy(right: Array) -> Share:
    """The accuracy of a row, an interval that holds for the best of several, on as many judged images.

    Wilson's (1927) at 1 - 5% / `CHOICE`. Among rows that err on much the same images the best looks better than it is,
    and which images are labelled moves estimate and truth apart by more than a binomial draw. On draws of labels that
    were not reported later, plain 95% held for 92 of 100 chosen rows, 5% / 2 for 95, and Bonferroni's 5% / 3 for 96 to
    97. How often it holds on others: docs/results/advise.md.

    Args:
        right: (n,) 1 where an image is classified correctly, 0 where it is not; nan where it was not judged.
    """
    known = right[~np.isnan(right)]
    n, p = len(known), float(known.mean())
    z = float(stats.norm.ppf(1 - LEVEL / (2 * CHOICE)))
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Share(p, max(0.0, float((middle - half) / scale)), min(1.0, float((middle + half) / scale)))


def difference(right: Array, other: Array) -> Share:
    """How much more often a row is right than another on the images that both were judged on, those of `accuracy`.

    The interval adds half an image to each of the four ways in which two rows can agree or not (Bonett and Price 2012,
    Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data).
    """
    both = ~np.isnan(right) & ~np.isnan(other)
    n = int(both.sum())
    won, lost = (float((a[both] > b[both]).sum()) for a, b in ((right, other), (other, right)))
    p, q = (won + 1) / (n + 2), (lost + 1) / (n + 2)
    half = float(stats.norm.ppf(1 - LEVEL / 2) * np.sqrt((p + q - (p - q) ** 2) / (n + 2)))
    return Share((won - lost) / n, p - q - half, p - q + half)


def doubled(curve: Mapping[float, Array]) -> Share | None:
    """What twice the labels would add to the accuracy; None where the curve has fewer than two points.

    The error is taken to fall as a power of the number of labels: a line through the logarithms by least squares, gone
    on with from the last point. The interval has two sources: the choice of labelled images, whose accuracies are drawn
    again, normal with the covariance over images; and which images are labelled next, `DRAW`.

    Args:
        curve: images that were fitted to -> (n,) share of times in which an image was classified correctly without it,
            nan where it never was; of the same images at all points.
    """
    if len(curve) < 2:
        return None
    sizes = np.array(sorted(curve))
    right = np.stack([curve[size] for size in sizes], 1)  # (n, K)
    right = right[~np.isnan(right).any(1)]
    n = len(right)
    mean, spread = right.mean(0), np.cov(right.T, ddof=0) / n
    again = np.random.default_rng(0).multivariate_normal(mean, spread, RESAMPLES).clip(0, 1)
    found = [_gain(sizes, accuracies, n) for accuracies in (mean, *again)]
    half = float(stats.norm.ppf(1 - LEVEL / 2) * np.hypot(np.std(found[1:]), DRAW * found[0]))
    return Share(found[0], found[0] - half, found[0] + half)


def _gain(sizes: Array, accuracies: Array, n: int) -> float:
    """The fall of the error from the last size to twice that; where no image is wrong half a one is taken to be."""
    error = (n * (1 - accuracies) + 0.5) / (n + 1)  # (K,)
    x = np.log2(sizes) - np.log2(sizes).mean()
    slope = min(0.0, float(x @ np.log2(error) / (x @ x)))
    return float((1 - accuracies[-1]) * (1 - 2.0**slope))
