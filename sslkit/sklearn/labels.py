"""Labels as scikit-learn has them, some of them missing, as classes and their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from sslkit.data.image import Array


def missing(y: Array, mark: Any) -> Array:
    """(N,) bool, which of the labels (N,) are none: the mark, None, NaN; among texts also the text of the mark."""
    if y.dtype.kind in "US":
        return np.asarray(y == str(mark))
    if y.dtype.kind == "O":
        return np.array([value is None or _is(value, mark) for value in y], bool)
    bare = np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), bool)
    return bare | (y == mark) if isinstance(mark, int | float | np.number) else bare


def _is(value: Any, mark: Any) -> bool:
    nan = isinstance(value, float | np.floating) and np.isnan(value)
    return bool(nan or value == mark or (isinstance(value, str) and value == str(mark)))


def numbered(y: Any, mark: Any) -> tuple[Array, Array]:
    """The classes (C,), sorted, and for each label (N,) the number of its class, int64, -1 where there is none.

    Raises:
        ValueError: labels are no classes, are of types that cannot be sorted, or of fewer than two classes.
    """
    y = column_or_1d(y, warn=True)
    if y.dtype.kind == "f" and np.isinf(y).any():
        raise ValueError("Input y contains infinity, which is no class.")
    bare = missing(y, mark)
    known = y[~bare]
    if not len(known):
        raise ValueError(f"y has no label: all {len(y)} are {mark!r} or missing; label some images of every class")
    if known.dtype.kind == "O" and not any(isinstance(value, str) for value in known):
        known = np.array(known.tolist())
    try:
        classes = np.unique(known)
    except TypeError:
        raise ValueError("y has labels of types that cannot be sorted together, as texts and numbers") from None
    check_classification_targets(known)
    if len(classes) < 2:
        raise ValueError(f"y has labels of one class only, {classes.tolist()[0]!r}; classification needs two")
    label = np.full(len(y), -1, np.int64)
    label[~bare] = np.searchsorted(classes, known)
    return classes, label
