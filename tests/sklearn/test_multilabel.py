"""A matrix of labels: each column is a question of its own."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.utils.multiclass import type_of_target

from sslkit.data.image import Array

from .conftest import small


@pytest.fixture(scope="module")
def mosaics(digits: tuple[Array, Array]) -> tuple[Array, Array]:
    """Two digits side by side, of 8 and 16 px, and which of the labels 0 to 2 are there."""
    X, y = digits
    draw = np.random.default_rng(0)
    pairs = draw.integers(0, len(X), (200, 2))
    images = np.concatenate([X[pairs[:, 0]], X[pairs[:, 1]]], 2)
    return images, np.stack([(y[pairs] % 3 == c).any(1) for c in range(3)], 1).astype(np.int64)


def test_a_matrix_in_and_out(mosaics: tuple[Array, Array]) -> None:
    X, y = mosaics
    part = y.copy()
    part[100:] = -1
    fitted = small(algorithm="fixmatch").fit(X, part)
    assert fitted.classes_.tolist() == [0, 1, 2]
    p = fitted.predict_proba(X)
    assert p.shape == (200, 3)
    assert not np.allclose(p.sum(1), 1)
    found = fitted.predict(X)
    assert type_of_target(found) == "multilabel-indicator"
    assert np.array_equal(found, p >= 0.5)
    assert fitted.score(X[:120], part[:120]) == (found[:100] == y[:100]).all(1).mean(), "of rows with labels"
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), p)
    assert np.isfinite(average_precision_score(y, p))


def test_what_is_no_matrix_of_labels(mosaics: tuple[Array, Array]) -> None:
    X, y = mosaics
    for change, said in [
        (y * 2, "holds 0 and 1"),
        (y * [1, 1, 0], "no image has label 2"),
        (y * 0 - [1, 0, 0], "some labels only"),
    ]:
        with pytest.raises(ValueError, match=said):
            small().fit(X, change)
