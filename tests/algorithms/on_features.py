"""Features and methods on them to test with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sslkit import registry
from sslkit.contracts import Setup
from sslkit.frozen import OnFeatures
from sslkit.network import Classifier, Output


class Identity(Classifier):
    """A network whose features are its images (N, D)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.feature_dim = dim

    def forward(self, images: Tensor) -> Output:
        return Output(images[:, :1], images)


class Data:
    """Gaussian clusters far enough from the origin to have directions: labelled, pool and test, classes in turn."""

    def __init__(self, labeled: int, pool: int = 0, classes: int = 3, dim: int = 12, noise: float = 0.5) -> None:
        self.generator = torch.Generator().manual_seed(labeled + 31 * pool + classes + dim)
        self.classes, self.noise = classes, noise
        self.centre = self.normal(classes, dim) * 0.7 + 1
        self.labeled, self.label = self.draw(labeled)
        self.pool, self.hidden = self.draw(pool)
        self.test, self.truth = self.draw(60)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        y = torch.arange(n) % self.classes
        return self.centre[y] + self.noise * self.normal(n, self.centre.shape[1]), y


def setup(labeled: int, pool: int = 0, classes: int = 3, dim: int = 12) -> Setup:
    student = Identity(dim)
    counts = torch.full((classes,), labeled // classes)
    return Setup(student, student, classes, labeled, pool, counts, steps=1, decay=0.0)


def made(name: str, data: Data, **options: Any) -> OnFeatures:
    """The method, not fitted."""
    shape = setup(len(data.labeled), len(data.pool), data.classes, data.labeled.shape[1])
    method: OnFeatures = registry.load("algorithm", name)(shape, **options)
    return method


def fitted(name: str, data: Data, **options: Any) -> OnFeatures:
    method = made(name, data, **options)
    method.fit(data.labeled, data.label, data.pool)
    return method


def accuracy(logits: Tensor, label: Tensor) -> float:
    return (logits.argmax(1) == label).float().mean().item()
