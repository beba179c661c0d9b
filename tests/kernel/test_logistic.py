"""Logistic regression against scikit-learn, against its own gradient, and at the edges."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sslkit.errors import UserError
from sslkit.logistic import logistic_regression, probe
from tests.algorithms.on_features import Data

SHAPES = [(6, 20, 3), (40, 20, 3), (20, 20, 4), (12, 30, 2)]  # n below, above and equal to D; two classes


def standard(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """z, mean and s of features (n, D), in float64."""
    x = x.astype(np.float64)
    mean = x.mean(0)
    s = float(np.sqrt(((x - mean) ** 2).sum() / len(x)))
    return (x - mean) / s, mean, s


@pytest.mark.parametrize("strength", [0.1, 3.0, 1000.0])
@pytest.mark.parametrize(("n", "dim", "classes"), SHAPES)
def test_equals_scikit_learn_on_all_dimensions(n: int, dim: int, classes: int, strength: float) -> None:
    data = Data(n, classes=classes, dim=dim, noise=1.0)
    weight, bias = logistic_regression(data.labeled, data.label, classes, strength)
    z, mean, s = standard(data.labeled.numpy())
    # two classes: one row w in scikit-learn, penalised by ½‖w‖²; here rows of -w/2 and w/2, by ¼‖w‖²
    theirs = LogisticRegression(C=strength * (2 if classes == 2 else 1), tol=1e-10, max_iter=5000, solver="newton-cg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it can do no better than its rounding
        theirs.fit(z, data.label.numpy())
    w, b = theirs.coef_, theirs.intercept_
    if classes == 2:
        w, b = np.concatenate([-w, w]) / 2, np.concatenate([-b, b]) / 2
    np.testing.assert_allclose(weight * s, w, atol=1e-6 * np.abs(w).max())
    np.testing.assert_allclose(bias + weight @ torch.from_numpy(mean), b - b.mean(), atol=1e-5)


@pytest.mark.parametrize(("n", "dim", "classes"), SHAPES)
def test_the_gradient_of_the_objective_is_zero_for_soft_targets_too(n: int, dim: int, classes: int) -> None:
    data = Data(n, classes=classes, dim=dim, noise=1.0)
    target = torch.softmax(2 * data.normal(n, classes).double(), 1)
    weight, bias = logistic_regression(data.labeled, target, classes, 3.0)
    z, mean, s = (torch.as_tensor(value, dtype=torch.float64) for value in standard(data.labeled.numpy()))
    w, b = (weight * s).requires_grad_(), (bias + weight @ mean).requires_grad_()
    loss = 0.5 * w.square().sum() - 3 * (target * (z @ w.T + b).log_softmax(1)).sum()
    for gradient in torch.autograd.grad(loss, (w, b)):
        assert gradient.abs().max() < 1e-6
    assert weight.sum(0).abs().max() < 1e-12
    assert abs(bias.sum()) < 1e-9


@pytest.mark.parametrize("fit", [logistic_regression, probe])
def test_neither_the_scale_of_the_features_nor_the_order_of_the_images_matters(fit) -> None:
    data = Data(15, dim=30)
    x, y = data.labeled.double(), data.label
    weight, bias = fit(x, y, 3, 3.0)
    order = torch.randperm(15, generator=data.generator)
    for factor, by in ((1000.0, slice(None)), (1e-3, order)):
        scaled, same = fit(factor * x[by], y[by], 3, 3.0)
        torch.testing.assert_close(factor * scaled, weight, rtol=0, atol=1e-7)
        torch.testing.assert_close(same, bias, rtol=0, atol=1e-7)


def test_a_shift_of_the_features_is_taken_up_by_the_bias() -> None:
    data = Data(15)
    x = data.labeled.double()
    weight, bias = logistic_regression(x, data.label, 3, 3.0)
    shifted, other = logistic_regression(x + 100, data.label, 3, 3.0)
    torch.testing.assert_close(shifted, weight, rtol=0, atol=1e-7)
    torch.testing.assert_close((x + 100) @ shifted.T + other, x @ weight.T + bias, rtol=0, atol=1e-7)


def test_the_length_of_an_image_does_not_matter_to_the_probe() -> None:
    data = Data(15)
    longer = data.labeled * torch.linspace(0.5, 2, 15)[:, None]
    one, other = (probe(x.double(), data.label, 3, 3.0) for x in (data.labeled, longer))
    factor = data.labeled.norm(dim=1).mean() / longer.norm(dim=1).mean()
    torch.testing.assert_close(other[0], one[0] * factor, rtol=1e-5, atol=1e-6)


def test_a_class_without_a_label_is_never_predicted() -> None:
    data = Data(12)
    given = torch.tensor([0, 2, 4])[data.label]
    weight, bias = logistic_regression(data.labeled, given, 6, 3.0)
    far = 100 * data.normal(2000, 12).double()
    assert set((far @ weight.T + bias).argmax(1).tolist()) <= {0, 2, 4}
    assert (far @ weight.T + bias).softmax(1)[:, [1, 3, 5]].max() < 1e-8
    plain = logistic_regression(data.labeled, data.label, 3, 3.0)
    torch.testing.assert_close(weight[[0, 2, 4]], plain[0])


@pytest.mark.parametrize(("n", "label", "said"), [(1, [2], "1 label of 1"), (3, [1, 1, 1], "3 labels of 1")])
def test_one_class_is_refused_in_a_line(n: int, label: list[int], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        probe(torch.randn(n, 4), torch.tensor(label), 3, 3.0)
    assert "\n" not in str(error.value)


def test_equal_features_give_the_shares_of_the_labels() -> None:
    weight, bias = probe(torch.ones(4, 3), torch.tensor([0, 0, 0, 1]), 2, 3.0)
    assert weight.abs().max() < 1e-9
    assert bias.softmax(0).tolist() == pytest.approx([0.75, 0.25], abs=1e-6)
