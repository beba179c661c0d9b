"""Label spreading against a dense solve in float64 and scikit-learn, and what holds of any graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.semi_supervised import LabelSpreading as Theirs

from sslkit.algorithms.label_spreading import LabelSpreading, nearest, solve
from sslkit.errors import UserError
from tests.algorithms.on_features import Data, accuracy, fitted, made


def unit(x: torch.Tensor) -> np.ndarray:
    """Rows (N, D) as the bank has them, float64."""
    return torch.nn.functional.normalize(x).half().double().numpy()


def dense(f: np.ndarray, n: int, label: torch.Tensor, classes: int, alpha: float, k: int | None) -> np.ndarray:
    """F (N, C) by the closed form on the whole matrix; `k` nearest are tied, or all."""
    similar = f @ f.T
    np.fill_diagonal(similar, -2)
    ties = np.maximum(similar, 0) ** 3
    if k is not None:
        far = similar < np.sort(similar, 1)[:, -k][:, None]
        ties = np.where(far & far.T, 0, ties)
    degree = ties.sum(1)
    s = ties / np.sqrt(degree[:, None] * degree)
    y = np.zeros((len(f), classes))
    y[np.arange(n), label] = 1
    spread = np.linalg.solve(np.eye(len(f)) - alpha * s, y)
    spread *= y.sum(0) / spread.sum(0)
    return spread / spread.sum(1, keepdims=True)


@pytest.mark.parametrize(("k", "alpha"), [(8, 0.9), (20, 0.99), (299, 0.5)])
def test_equals_a_dense_solve(k: int, alpha: float) -> None:
    data = Data(12, pool=288, noise=1.5)
    method: Any = fitted("label_spreading", data, k=k, alpha=alpha)
    f = unit(torch.cat([data.labeled, data.pool]))
    expected = dense(f, 12, data.label, 3, alpha, None if k == 299 else k)
    np.testing.assert_allclose(method.spread, expected, atol=2e-5)
    similar = np.maximum(unit(data.test) @ f.T, 0) ** 3
    similar = np.where(similar < np.sort(similar, 1)[:, -k][:, None], 0, similar)
    asked = similar @ expected / similar.sum(1, keepdims=True)
    np.testing.assert_allclose(method.classify(data.test).exp(), asked, atol=2e-5)


def test_equals_scikit_learn_with_the_kernel_of_all_pairs() -> None:
    data = Data(12, pool=100, noise=1.5)
    f = unit(torch.cat([data.labeled, data.pool]))
    kernel = np.maximum(f @ f.T, 0) ** 3
    # its own diagonal counts in no tie, but in the degrees; so it is given a kernel without one
    np.fill_diagonal(kernel, 0)
    theirs = Theirs(kernel=lambda a, b: kernel, alpha=0.8, max_iter=5000, tol=1e-12)
    theirs.fit(f, np.concatenate([data.label, np.full(100, -1)]))
    y = np.zeros((112, 3))
    y[np.arange(12), data.label] = 1
    method: Any = made("label_spreading", data, k=111, alpha=0.8)
    method.fit(data.labeled, data.label, data.pool)
    found = solve(method._graph(), y, 0.8)
    np.testing.assert_allclose(found / found.sum(1, keepdims=True), theirs.label_distributions_, atol=1e-5)


def test_a_chain_of_two_gaussians_needs_one_label_each() -> None:
    data = Data(2, pool=200, classes=2, dim=3, noise=0.05)
    angle = torch.linspace(0, 1.2, 100)
    arc = torch.stack([angle.cos(), angle.sin(), torch.zeros(100)], 1)
    chains = torch.cat([arc, torch.stack([angle.cos() * 0.8, angle.sin() * 0.8, torch.full((100,), 0.6)], 1)])
    data.pool = chains + 0.02 * data.normal(200, 3)
    data.labeled, data.label = chains[[0, 199]], torch.tensor([0, 1])
    truth = torch.arange(200) // 100
    method = fitted("label_spreading", data, k=10, alpha=0.99)
    assert accuracy(method.classify(data.pool), truth) == 1.0
    closest = torch.nn.functional.normalize(data.pool) @ torch.nn.functional.normalize(data.labeled).T
    assert accuracy(closest, truth) < 0.9


def test_a_weak_alpha_returns_the_labels_and_no_labels_give_nothing() -> None:
    data = Data(12, pool=60)
    method: Any = fitted("label_spreading", data, k=10)
    y = np.eye(3)[np.arange(72) % 3] * (np.arange(72) < 12)[:, None]
    np.testing.assert_allclose(solve(method._graph(), y, 1e-9), y, atol=1e-8)
    assert not solve(method._graph(), 0 * y, 0.9).any()


def test_the_order_of_the_images_does_not_matter() -> None:
    data = Data(12, pool=80, noise=1.5)
    one = fitted("label_spreading", data).classify(data.test)
    by, of_pool = (torch.randperm(n, generator=data.generator) for n in (12, 80))
    data.labeled, data.label, data.pool = data.labeled[by], data.label[by], data.pool[of_pool]
    torch.testing.assert_close(fitted("label_spreading", data).classify(data.test), one, rtol=1e-4, atol=1e-4)


def test_what_no_label_reaches_has_that_of_the_most_similar_labelled_image() -> None:
    data = Data(3, pool=8, dim=4)
    data.labeled, data.label = torch.eye(4)[:3] + 0.1, torch.tensor([2, 1, 0])
    island = torch.eye(4)[3] - 0.3 * torch.eye(4)[:3].sum(0) + 0.1 * torch.eye(4)[1]
    data.pool = torch.cat([data.labeled + 0.01, data.labeled + 0.02, island[None], island[None] * 2])
    method: Any = fitted("label_spreading", data, k=2)
    assert method.spread[-2:].tolist() == [[0, 1, 0]] * 2
    logits = method.classify(torch.stack([island, -torch.ones(4)]))
    assert logits[0].argmax() == 1
    assert logits.isfinite().all()
    assert method.spread.sum(1).tolist() == pytest.approx([1] * 11, abs=1e-6)


def test_a_new_image_that_is_similar_to_none_has_the_label_of_the_nearest() -> None:
    data = Data(3, pool=6, dim=3)
    data.labeled, data.label = torch.eye(3), torch.tensor([2, 0, 1])
    data.pool = torch.cat([data.labeled, data.labeled]) + 0.01
    method = fitted("label_spreading", data, k=5)
    far = torch.tensor([[-0.1, -1.0, -1.0], [-1.0, -0.1, -1.0], [-1.0, -1.0, -0.1]])
    assert method.classify(far).argmax(1).tolist() == [2, 0, 1]


def test_islands_have_the_labels_of_the_labelled_images_that_they_are_most_similar_to() -> None:
    """Three pairs that no label reaches; each lies a little towards one labelled image, and its twin is nearer."""
    data = Data(3, pool=9, dim=6)
    data.labeled, data.label = torch.eye(6)[:3], torch.tensor([1, 2, 0])
    islands = torch.eye(6)[3:] + 0.2 * torch.eye(6)[[2, 0, 1]]
    data.pool = torch.cat([data.labeled, islands.repeat_interleave(2, 0)])  # each has a twin to be tied to
    method: Any = fitted("label_spreading", data, k=1)
    assert method.spread[6:].argmax(1).tolist() == [0, 0, 1, 1, 2, 2]


def test_shares_of_the_labels_are_those_of_the_images() -> None:
    data = Data(12, pool=300, noise=2.0)
    data.label = torch.tensor([0, 1, 2] + [0] * 9)
    method: Any = fitted("label_spreading", data, k=10)
    assert (method.spread.mean(0) - torch.tensor([10.0, 1, 1]) / 12).abs().max() < 0.2


def test_nearest_in_blocks_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data(30, pool=50)
    whole = torch.topk(data.labeled @ data.pool.T, 7)
    monkeypatch.setattr("sslkit.algorithms.label_spreading.ROWS", 4)
    monkeypatch.setattr("sslkit.algorithms.label_spreading.COLUMNS", 9)
    similar, place = nearest(data.labeled, data.pool, 7)
    torch.testing.assert_close(similar, whole.values)
    assert place.equal(whole.indices)


def test_wrong_options_are_refused_and_few_images_are_enough() -> None:
    for wrong in ({"k": 0}, {"alpha": 0.0}, {"alpha": 1.0}):
        with pytest.raises(UserError, match=rf"algo\.{next(iter(wrong))}"):
            made("label_spreading", Data(6), **wrong)
    assert isinstance(fitted("label_spreading", Data(3)), LabelSpreading)
