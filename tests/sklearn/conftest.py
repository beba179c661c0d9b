"""What the tests of the estimator share: few images, a small network, one step."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sslkit.data.image import Array
from sslkit.sklearn import SSLClassifier

FEW = {
    "finetune.steps": 2,
    "semi.steps": 2,
    "finetune.batch": 4,
    "semi.batch": 4,
    "semi.mu": 1,
    "precision": "fp32",
    "threads": 1,
}


def small(**parameters: Any) -> SSLClassifier:
    """An estimator that is fitted in a second."""
    settings = FEW | parameters.pop("settings", {})
    return SSLClassifier(**{"algorithm": "fixmatch", "backbone": "wrn_10_1", **parameters}, settings=settings)


@pytest.fixture(scope="session")
def digits() -> tuple[Array, Array]:
    """80 images, uint8 (80, 8, 8), and labels, of which the last 40 are -1."""
    found = load_digits()
    images = np.round(found.images[:80] * (255 / 16)).astype(np.uint8)
    label = found.target[:80].astype(np.int64)
    return images, np.where(np.arange(80) < 40, label, -1)
