"""Methods on frozen features: fitted once, without gradients. A draft, which may still change.

The network stays as its weights are. Nothing is augmented, and no image is seen more than once.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from sslkit.contracts import Algorithm, Batch, Losses, Setup
from sslkit.errors import UserError
from sslkit.losses import one_hot
from sslkit.network import Classifier
from sslkit.randomness import Step


class OnFeatures(Algorithm):
    """A method that sees pooled features only. What `fit` finds is a buffer, made in `__init__` in its last shape."""

    views = {"labeled": ()}  # with "unlabeled": () the features of the pool, too
    defaults = {"stages": "semi"}
    weighs: ClassVar[bool] = False  # `fit` heeds `class_weights`
    class_weights: Tensor | None = None  # (C,) of the loss of labelled images, set before `fit`; None: all count alike

    @abstractmethod
    def fit(self, labeled: Tensor, label: Tensor, unlabeled: Tensor) -> None:
        """Learn from features.

        Args:
            labeled: (n, D) float32 on the CPU.
            label: (n,) int64.
            unlabeled: (N_u, D) float32, in the order of the pool; (0, D) where `views` does not ask for it.
        """

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """(N, C) float32 logits of features (N, D)."""

    def forward(self, batch: Batch, step: Step) -> Losses:
        raise NotImplementedError("a method on frozen features takes no step")

    def predict(self, network: Classifier, images: Tensor) -> Tensor:
        return self.classify(network(images).features)


class LinearHead(OnFeatures):
    """A method whose result is a linear head: it becomes that of the network, and the next stage can start from it."""

    weight: Tensor  # (C, D)
    bias: Tensor  # (C,)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        if int((setup.class_counts > 0).sum()) < 2:
            labels = f"{setup.labeled} label{'s' * (setup.labeled != 1)}"
            raise UserError(f"a linear classifier needs labels of two classes, there is one with {labels}: label more")
        self.register_buffer("weight", torch.zeros(setup.classes, setup.student.feature_dim))
        self.register_buffer("bias", torch.zeros(setup.classes))

    def targets(self, label: Tensor) -> Tensor:
        """(n, C) float32 rows of labels (n,) int64, one-hot times the weight of the class."""
        rows = one_hot(label, len(self.bias))
        return rows if self.class_weights is None else rows * self.class_weights[label, None]

    def classify(self, features: Tensor) -> Tensor:
        return features @ self.weight.T + self.bias
