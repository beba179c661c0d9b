"""Temperature scaling: one number, fitted on the validation part, that makes confidences honest.

Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599. Classes stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from sslkit.training import multilabel
from sslkit.training.evaluation import scores

LIMITS = (0.05, 20.0)  # of a temperature


def fit_temperature(logits: Tensor, label: Tensor) -> float:
    """The T that minimises the mean negative log-likelihood of softmax(logits / T), within `LIMITS`.

    Args:
        logits: (N, C).
        label: (N,) int64; images with label -1 are left out. Where all are classified right the likelihood grows as T
            goes to 0, so there is no such T, and 1 is given.
    """
    from scipy.optimize import minimize_scalar  # slow to import

    known = label >= 0
    logits, label = logits[known].double(), label[known]
    if bool((logits.argmax(1) == label).all()):
        return 1.0

    def loss(log_t: float) -> float:
        return cross_entropy(logits / math.exp(log_t), label).item()

    low, high = map(math.log, LIMITS)
    return math.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)


def calibrate(outputs: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Any] | None:
    """Temperature, the validation images and errors it is from, and nll and ece that it gives on a test part; of images
    with several labels `multilabel.thresholds`.


    Args:
        outputs: part -> logits (N, C) and labels (N,), of "test" and "val"; without "val" there is nothing to fit on.
    """
    if "val" not in outputs:
        return None
    val, label = outputs["val"]
    if label.ndim == 2:
        return multilabel.thresholds(outputs)
    temperature = fit_temperature(val, label)
    after = {}
    if "test" in outputs:
        test, truth = outputs["test"]
        found = scores(test / temperature, truth)
        after = {name: found[name] for name in ("nll", "ece")}
    errors = int(((val.argmax(1) != label) & (label >= 0)).sum())
    images = int((label >= 0).sum())
    return {"temperature": temperature, "images": images, "errors": errors, **after}
