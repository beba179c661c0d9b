"""Label efficiency: how many labels plain fine-tuning needs for the accuracy that a row has with fewer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from sslkit.harness.frame import load
from sslkit.harness.ledger import read
from sslkit.harness.statistics import SEEDS

LABELS = "data.labels"
RESAMPLES = 2000
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Worth:
    """What one row with so many labels is worth in labels of plain fine-tuning. Infinities lie outside the curve."""

    condition: str
    row: str
    labels: int  # that it has
    worth: float
    low: float  # 95%, seeds resampled
    high: float
    smallest: int  # of the curve
    largest: int
    n: int  # seeds

    def __str__(self) -> str:
        words = f"{self.condition}: {self.row} with {self.labels} labels is worth {self._word(self.worth)}"
        interval = f" (95% {self._word(self.low)} to {self._word(self.high)}, n = {self.n})" if self.n >= SEEDS else ""
        return f"{words} labels of fine-tuning{interval}."

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


def worth(labels: Array, curve: Array, row: Array, seed: int = 0) -> tuple[float, float, float]:
    """Labels that a row is worth, and the 95% percentile interval over resampled seeds.

    Args:
        labels: (K,) ascending.
        curve: (seeds, K), accuracy of fine-tuning.
        row: (seeds,), accuracy of the row on the same seeds.
    """
    draw = np.random.default_rng(seed).integers(0, len(row), (RESAMPLES, len(row)))
    found = [needed(labels, curve[chosen].mean(0), float(row[chosen].mean())) for chosen in draw]
    low, high = np.quantile(found, (0.025, 0.975), method="nearest")  # infinities are not to be averaged
    return needed(labels, curve.mean(0), float(row.mean())), float(low), float(high)


def worths(folder: Path) -> list[Worth]:
    """Of every row but fine-tuning itself, where conditions differ in the number of labels and in nothing else."""
    frame, about = load(folder), read(folder)
    frame = frame[frame["error"] == ""]
    families: dict[str, list[str]] = {}
    for condition, keys in about["comparison"]["conditions"].items():
        families.setdefault(str({k: v for k, v in keys.items() if k != LABELS}), []).append(condition)
    found = []
    for family in families.values():
        known = sorted(family, key=lambda condition: about["labeled"][condition])
        labels = np.array([about["labeled"][condition] for condition in known])
        table = frame[frame["condition"].isin(known)].pivot(index="seed", columns=["row", "condition"], values="top1")
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
