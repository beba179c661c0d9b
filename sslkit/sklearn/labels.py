"""Labels as scikit-learn has them, some of them missing, as classes and their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from sslkit.data import label_sets
from sslkit.data.csv_files import class_order
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


def sets_of(y: Any, mark: Any) -> tuple[Array, list[str]] | None:
    """For each row of an indicator matrix (N, C) the number of its set of labels, int64, -1 where there is none, and
    the texts of the sets as `sslkit.data.label_sets` has them, of labels 0 to C - 1; None where `y` is no such matrix.

    Raises:
        ValueError: it holds other values than 0, 1 and rows of the mark, or a column without a 1.
    """
    rows = np.asarray(y)
    if rows.ndim != 2 or rows.shape[1] < 2:
        return None
    bare = missing(rows.reshape(-1), mark).reshape(rows.shape)
    if (bare.any(1) != bare.all(1)).any():
        raise ValueError(f"y says something of some labels only: a row is whole, or {mark!r} in all columns")
    known = rows[~bare.all(1)]
    if not np.isin(known, (0, 1)).all():
        raise ValueError(
            "y of several columns holds 0 and 1, a column a label: multiclass-multioutput is not known here"
        )
    if lacking := np.flatnonzero(~(known == 1).any(0)).tolist():
        raise ValueError(f"no image has label {lacking[0]}: its column in y has no 1")
    texts = [label_sets.written(map(str, np.flatnonzero(row == 1)), "y") for row in known]
    names = class_order(set(texts))
    label = np.full(len(rows), -1, np.int64)
    place = {text: number for number, text in enumerate(names)}
    label[~bare.all(1)] = [place[text] for text in texts]
    return label, names


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
