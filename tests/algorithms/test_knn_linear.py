"""Nearest neighbours and the linear probe: scikit-learn, limits, ties, wrong options."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from sslkit.errors import UserError
from tests.algorithms.on_features import Data, accuracy, fitted, made


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (5, 1.0), (30, 0.2)])
def test_knn_equals_scikit_learn(k: int, temperature: float) -> None:
    data = Data(30, classes=4, noise=1.5)
    logits = fitted("knn", data, k=k, temperature=temperature).classify(data.test)
    found = logits.exp()  # they are logarithms of shares
    theirs = KNeighborsClassifier(k, metric="cosine", weights=lambda d: np.exp((1 - d) / temperature))
    expected = theirs.fit(data.labeled, data.label).predict_proba(data.test)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_knn_without_warmth_is_the_nearest_image_and_with_much_a_count() -> None:
    data = Data(30, classes=4, noise=1.5)
    similar = torch.nn.functional.cosine_similarity(data.test[:, None], data.labeled[None], dim=2)
    cold = fitted("knn", data, k=9, temperature=1e-4).classify(data.test)
    assert cold.isfinite().all()
    assert cold.argmax(1).equal(data.label[similar.argmax(1)])
    hot = fitted("knn", data, k=9, temperature=1e6).classify(data.test).softmax(1)
    counts = torch.nn.functional.one_hot(data.label[similar.topk(9).indices], 4).sum(1)
    np.testing.assert_allclose(9 * hot, counts, atol=1e-3)


def test_knn_breaks_ties_by_the_lower_class_in_any_order() -> None:
    data = Data(4, classes=4, dim=2)
    data.labeled = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    for label in ([3, 1, 2, 0], [1, 2, 3, 0], [2, 3, 1, 0]):
        data.label = torch.tensor(label)
        for k, share in ((1, [0, 1, 0, 0]), (2, [0, 0.5, 0.5, 0]), (3, [0, 1 / 3, 1 / 3, 1 / 3])):
            logits = fitted("knn", data, k=k).classify(torch.tensor([[2.0, 0.0]]))
            assert logits.argmax(1).item() == 1
            assert logits.softmax(1)[0].tolist() == pytest.approx(share, abs=1e-5)


def test_knn_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data(30)
    method = fitted("knn", data)
    whole = method.classify(data.test)
    monkeypatch.setattr("sslkit.algorithms.knn.BLOCK", 7 * 30)
    torch.testing.assert_close(method.classify(data.test), whole)


def test_knn_asks_no_more_images_than_there_are() -> None:
    data = Data(6)
    assert made("knn", data, k=6).classify(data.test).shape == (60, 3)
    assert accuracy(fitted("knn", data).classify(data.test), data.truth) > 0.9
    with pytest.raises(UserError, match=r"algo\.k=7 .*, 6$"):
        made("knn", data, k=7)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("knn", {"k": 0}), ("knn", {"temperature": 0.0}), ("linear", {"C": 0.0}), ("linear", {"C": float("inf")})],
)
def test_wrong_options_are_refused(name: str, wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"algo\.{next(iter(wrong))}"):
        made(name, Data(6), **wrong)


def test_linear_is_the_probe_and_its_head_is_for_features_as_they_are() -> None:
    from sslkit.logistic import probe

    data = Data(9)
    method = fitted("linear", data, C=0.5)
    weight, bias = probe(data.labeled, data.label, 3, 0.5)
    torch.testing.assert_close(method.classify(data.test).double(), data.test.double() @ weight.T + bias)
    assert accuracy(method.classify(data.test), data.truth) > 0.9
