"""Logistic regression on features, for methods and for the head that fine-tuning starts from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sslkit.errors import UserError

C = 3.0  # the fixed rule; docs/results/probe.md has what it was chosen among
NEVER = -20.0  # bias of a class that nobody has shown


def check(name: str, strength: float) -> float:
    """`strength`, or UserError where it is no C; `name` is that of the option."""
    if not 0 < strength < float("inf"):
        raise UserError(f"{name} weighs the labels against the penalty and must be above 0 and finite, got {strength}")
    return strength


def probe(features: Tensor, target: Tensor, classes: int, C: float) -> tuple[Tensor, Tensor]:
    """A linear head for the features as they come: `logistic_regression`, shown all images at one length.

    Each row of the features is brought to their mean length before the fit: with few labels a class it is otherwise the
    long ones that decide. The head is for features as they are. Arguments, results and errors are those of
    `logistic_regression`.
    """
    length = features.norm(dim=1, keepdim=True)
    return logistic_regression(features * (length.mean() / length.clamp_min(1e-12)), target, classes, C)


def probes(features: Tensor, target: Tensor, C: float) -> tuple[Tensor, Tensor]:
    """A linear head of a `probe` for each class, of the images that have it against the others.

    A class that no image has, or every one, has a row of zeros and the bias -20, or 20.

    Args:
        target: (n, K) int64, 0 and 1.

    Returns:
        weight (K, D), bias (K,), float64: sigmoid(W f + b) is the probability of each class.
    """
    weight = torch.zeros(target.shape[1], features.shape[1], dtype=torch.float64)
    bias = torch.where(target.any(0), -NEVER, NEVER).double()
    for c in ((target.amin(0) == 0) & (target.amax(0) == 1)).nonzero().flatten().tolist():
        w, b = probe(features, target[:, c], 2, C)
        weight[c], bias[c] = w[1] - w[0], b[1] - b[0]
    return weight, bias


def logistic_regression(features: Tensor, target: Tensor, classes: int, C: float) -> tuple[Tensor, Tensor]:
    """The minimum of ½‖W‖² + C Σ_i H(target_i, softmax(W z_i + b)); weight and bias are for the features as they come.

    z is (feature - mean) / s, with s the root of the mean squared norm of what is left once the mean is taken: one
    number, so that C means the same at any scale of the features, and no dimension is stretched. The bias is not
    penalised. All classes have a row, two have (-w/2, w/2); columns of W and b sum to 0 over the classes that have a
    label. A class without one has a row of zeros and the bias -20: the largest of the others' logits is never below 0.

    W has no part outside the span of the images, so at most n directions are searched, whatever D is.

    Args:
        features: (n, D).
        target: (n,) int64 labels, or (n, C) rows; what a row sums to is the weight of the image.
        C: weight of the labels against the penalty, above 0.

    Returns:
        weight (C, D), bias (C,), float64.

    Raises:
        UserError: the labels are of fewer than two classes.

    Source: Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features, arXiv:2202.10054 (one scalar for all dims).
    """
    from scipy.optimize import minimize  # slow to import

    if target.ndim == 1:
        target = torch.nn.functional.one_hot(target, classes)
    y = target.double().numpy()
    shown = np.flatnonzero(y.sum(0))
    if len(shown) < 2:
        labels = f"{len(y)} label" + "s" * (len(y) != 1)
        raise UserError(f"a linear classifier needs labels of two classes, got {labels} of {len(shown)}: label more")
    y = y[:, shown]  # (n, K)
    share = y.sum(1)
    x = features.double().numpy()
    mean = x.mean(0)
    scale = float(np.sqrt(np.square(x - mean).sum(1).mean())) or 1.0
    z, basis = _reduced((x - mean) / scale)  # (n, R), (D, R)
    n, r = z.shape

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient, divided by C n: the mean over labels keeps both of one size."""
        v = flat.reshape(len(shown), r + 1)
        logits = z @ v[:, :r].T + v[:, r]  # (n, K)
        logits -= logits.max(1, keepdims=True)
        p = np.exp(logits)
        total = p.sum(1, keepdims=True)
        loss = (share * np.log(total[:, 0]) - (y * logits).sum(1)).mean()
        wrong = (share[:, None] * p / total - y) / n
        slope = np.concatenate([wrong.T @ z + v[:, :r] / (C * n), wrong.sum(0)[:, None]], 1)
        return loss + 0.5 * np.square(v[:, :r]).sum() / (C * n), slope.ravel()

    start = np.zeros(len(shown) * (r + 1))
    options = {"maxiter": 10_000, "maxfun": 20_000, "ftol": 0.0, "gtol": 1e-10, "maxcor": 20}
    v = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x.reshape(len(shown), r + 1)
    weight, bias = np.zeros((classes, x.shape[1])), np.full(classes, NEVER)
    weight[shown] = v[:, :r] @ basis.T / scale
    bias[shown] = v[:, r] - weight[shown] @ mean
    return torch.from_numpy(weight), torch.from_numpy(bias)


def _reduced(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, R) in an orthonormal basis (D, R) of their span; as they are where there are D of them or more."""
    n, d = z.shape
    if n >= d:
        return z, np.eye(d)
    basis, coordinates = np.linalg.qr(z.T)
    return coordinates.T, basis
