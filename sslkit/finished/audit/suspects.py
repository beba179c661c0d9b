"""Which labels are likely wrong: confident learning on predictions that have not seen the label.

Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, arXiv:1911.00068.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sslkit.data.image import Array

FOLDS = 5


@dataclass(frozen=True)
class Suspects:
    """Of N labelled images."""

    score: Array  # (N,) in [0, 1]: 1 less the probability of the label
    suggested: Array  # (N,) int64, the likeliest other class
    doubted: Array  # (N,) bool: that class is likelier than the label
    likely: Array  # (N,) bool: confident learning counts the image to another class than its label


def out_of_sample(features: Array, label: Array, classes: int, seed: int) -> Array:
    """(N, C) probabilities for each image by a linear head on the features of the others, in five seeded folds.

    The head is scikit-learn's logistic regression on standardised features, in float64. An image that is the only one
    of its class cannot be judged: its row says that its label is certain.

    Args:
        features: (N, D) float64.
        label: (N,) int64, all of them known.
        classes: C.
    """
    found = np.zeros((len(label), classes))
    counts = np.bincount(label, minlength=classes)
    judged = np.flatnonzero(counts[label] > 1)
    found[counts[label] == 1, label[counts[label] == 1]] = 1.0
    if len({*label[judged]}) < 2:
        found[judged, label[judged]] = 1.0
        return found
    folds = StratifiedKFold(min(FOLDS, counts.max()), shuffle=True, random_state=seed)
    x, y = features[judged], label[judged]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class may have fewer images than there are folds
        warnings.simplefilter("ignore", ConvergenceWarning)
        for train, test in folds.split(x, y):
            head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
            head.fit(x[train], y[train])
            found[np.ix_(judged[test], head.classes_)] = head.predict_proba(x[test])
    return found


def suspects(p: Array, label: Array) -> Suspects:
    """Judge N labels by probabilities (N, C) that do not come from them.

    Labels are ranked by how improbable they are, whatever else may be likely: among labels that were made wrong at
    random this finds more than the margin to the likeliest other class does, where a network is still often in doubt.
    An image is likely wrong if it belongs, with confidence, to another class j: p[j] is at least the mean of p[j]
    among the images with label j, and the largest of those that are.
    """
    n, classes = p.shape
    place = np.arange(n)
    own = p[place, label]
    other = p.copy()
    other[place, label] = -1
    suggested = other.argmax(1)
    totals = np.bincount(label, weights=own, minlength=classes)
    counts = np.bincount(label, minlength=classes)
    threshold = np.where(counts > 0, totals / np.maximum(counts, 1), np.inf)
    confident = np.where(p >= threshold, p, -1)
    likely = (confident.max(1) >= 0) & (confident.argmax(1) != label)
    return Suspects(1 - own, suggested, p[place, suggested] > own, likely)
