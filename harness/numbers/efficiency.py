"""Label efficiency: how many labels plain fine-tuning needs for the accuracy that a row has with fewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from sslkit.harness.numbers.frame import Results
from sslkit.harness.numbers.statistics import SEEDS, t_interval

LABELS = "data.labels"
PLACES = 1001  # numbers of labels, over the curve, that an interval is made of
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Worth:
    """What one row with so many labels is worth in labels of plain fine-tuning. Infinities lie outside the curve."""

    condition: str
    row: str
    labels: int  # that it has
    worth: float
    low: float  # 95%
    high: float
    smallest: int  # of the curve
    largest: int
    n: int  # seeds

    def __str__(self) -> str:
        words = f"{self.condition}: {self.row} with {self.labels} labels is as accurate as finetune with "
        if self.low == np.inf or (self.labels == self.largest and self.worth == np.inf):
            return f"{words}at least {self.largest}, the most that were tried."
        interval = f" (95% CI {self._word(self.low)} to {self._word(self.high)}, n = {self.n})"
        return f"{words}{self._word(self.worth)}{interval if self.n >= SEEDS else ''}."

    def _word(self, value: float) -> str:
        if value == np.inf:
            return f">= {self.largest}"
        return f"< {self.smallest}" if value == -np.inf else f"{value:.0f}"


def needed(labels: Array, accuracy: Array, wanted: float) -> float:
    """Labels at which a curve reaches `wanted`: rising accuracy, linear in the logarithm of the labels.

    Args:
        labels: (K,) ascending.
        accuracy: (K,); made to rise by the nearest rising curve in least squares.

    Returns:
        The fewest labels; inf above the last point of the curve, -inf below the first.
    """
    rising = isotonic_regression(accuracy)
    if wanted > rising[-1]:
        return np.inf
    if wanted < rising[0]:
        return -np.inf
    after = int(np.searchsorted(rising, wanted))  # the first point that reaches it
    if after == 0:
        return float(labels[0])
    a, b = np.log(labels[after - 1 : after + 1])
    share = (wanted - rising[after - 1]) / (rising[after] - rising[after - 1])
    return float(np.exp(a + share * (b - a)))


def worth(labels: Array, curve: Array, row: Array) -> tuple[float, float, float]:
    """Labels that a row is worth, and the numbers of labels from which Student's 95% interval does not tell it apart.

    At each number of labels the row is compared with fine-tuning seed by seed, each on its own curve (as Fieller 1954
    makes the interval of a ratio). Seeds resampled instead are too sure: with three of them 95% come to 75%.

    Args:
        labels: (K,) ascending.
        curve: (seeds, K), accuracy of fine-tuning.
        row: (seeds,), accuracy of the row on the same seeds.
    """
    found = needed(labels, curve.mean(0), float(row.mean()))
    if len(row) < 2:
        return found, found, found
    place = np.linspace(np.log(labels[0]), np.log(labels[-1]), PLACES)
    fine = np.array([np.interp(place, np.log(labels), own) for own in curve])  # (seeds, PLACES)
    low, high = t_interval(row[:, None] - fine)
    ends = np.concatenate([[-np.inf], np.exp(place[1:-1]), [np.inf]])  # at an end, who knows what lies beyond it
    not_above, not_below = ends[low <= 0], ends[high >= 0]
    first = not_above[0] if len(not_above) else np.inf
    last = not_below[-1] if len(not_below) else -np.inf
    return found, min(found, float(first)), max(found, float(last))


def worths(results: Results) -> list[Worth]:
    """Of every row but fine-tuning itself, where conditions differ in the number of labels and in nothing else."""
    frame, about = results.good, results.about
    families: dict[str, list[str]] = {}
    for condition, keys in about["comparison"]["conditions"].items():
        families.setdefault(str({k: v for k, v in keys.items() if k != LABELS}), []).append(condition)
    found = []
    for family in families.values():
        known = sorted(family, key=lambda condition: about["labeled"][condition])
        labels = np.array([about["labeled"][condition] for condition in known])
        table = frame[frame["condition"].isin(known)].pivot(
            index="seed", columns=["row", "condition"], values=results.score
        )
        if len(set(labels)) < 2 or any(("finetune", condition) not in table for condition in known):
            continue
        for row, condition in table.columns:
            both = table[[*(("finetune", c) for c in known), (row, condition)]].dropna()
            if row != "finetune" and len(both):
                mean, low, high = worth(labels, both.to_numpy()[:, :-1], both.to_numpy()[:, -1])
                ends, mine = (int(labels[0]), int(labels[-1])), int(about["labeled"][condition])
                found.append(Worth(str(condition), str(row), mine, mean, low, high, *ends, len(both)))
    order = {condition: i for i, condition in enumerate(about["comparison"]["conditions"])}
    return sorted(found, key=lambda w: order[w.condition])
