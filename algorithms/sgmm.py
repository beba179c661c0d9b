"""A mixture of Gaussians on reduced features, whose components learn their classes from the labels.

Paper: Yao et al. 2025, SemiOccam, arXiv:2506.03582

Mixing weights are learned: in the published code they are 1. Covariances are full, with a ridge; a component that no
label reaches is of all classes alike. Features are brought to unit length; the start is the class means, and k-means++
for what components there are above the classes.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.algorithms._mixture import Mixture, learn
from sslkit.contracts import Setup
from sslkit.errors import UserError
from sslkit.frozen import OnFeatures
from sslkit.randomness import key, uniform
from sslkit.registry import register

ROWS = 4096  # images whose features are in memory once more, in float64


@register("algorithm")
class SGMM(OnFeatures):
    """p(z, y) = Σ_l alpha_l N(z; mu_l, Σ_l) beta_ly, by expectation maximisation; logits are log p(y | z).

    Options:
        dim: of z, the largest principal components of labelled and unlabelled features; at most D and the number of
            images.
        components: None is the classes and a third more, as published (13 for 10).
        ridge: how many images, spread alike in all directions of z, each covariance has seen beforehand; above 0.
        rounds: of expectation maximisation, at most; they end where a round gains less than 0.001 an image.
    """

    views = {"labeled": (), "unlabeled": ()}
    mean: Tensor  # (D,) of all unit features
    axes: Tensor  # (D, d), orthonormal columns

    def __init__(
        self, setup: Setup, *, dim: int = 40, components: int | None = None, ridge: float = 3.0, rounds: int = 20
    ) -> None:
        super().__init__(setup)
        classes, features = setup.classes, setup.student.feature_dim
        if dim < 1:
            raise UserError(f"algo.dim must be 1 or more, got {dim}")
        if components is not None and components < classes:
            raise UserError(f"algo.components={components} must be at least the number of classes, {classes}")
        if not ridge > 0:
            raise UserError(f"algo.ridge must be above 0, got {ridge}")
        if rounds < 1:
            raise UserError(f"algo.rounds must be 1 or more, got {rounds}")
        m, d = components or math.ceil(1.3 * classes), min(dim, features, setup.labeled + setup.unlabeled)
        self.ridge, self.rounds = ridge, rounds
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("axes", torch.zeros(features, d))
        self.mixture = Mixture(m, d, classes)

    def fit(self, labeled: Tensor, label: Tensor, unlabeled: Tensor) -> None:
        self._reduce(labeled, unlabeled)
        z = torch.cat([self._reduced(block) for block in _blocks(labeled, unlabeled)])  # (N, d)
        y = torch.cat([label, torch.full((len(unlabeled),), -1)])
        learn(self.mixture, z, y, start(z, y, len(self.mixture.alpha)), self.ridge, self.rounds)

    def _reduce(self, labeled: Tensor, unlabeled: Tensor) -> None:
        """Principal components of unit features, exactly: from their covariance (D, D)."""
        from scipy.linalg import eigh  # slow to import

        n, (features, d) = len(labeled) + len(unlabeled), self.axes.shape
        total, squares = torch.zeros(features).double(), torch.zeros(features, features).double()
        for block in _blocks(labeled, unlabeled):
            unit = F.normalize(block.double())
            total += unit.sum(0)
            squares += unit.T @ unit
        mean = total / n
        covariance = squares / n - mean[:, None] * mean
        axes = eigh(covariance.numpy(), subset_by_index=[features - d, features - 1])[1]
        self.mean.copy_(mean)
        self.axes.copy_(torch.from_numpy(axes))

    def _reduced(self, features: Tensor) -> Tensor:
        return (F.normalize(features) - self.mean) @ self.axes

    def classify(self, features: Tensor) -> Tensor:
        return self.mixture.log_classes(self._reduced(features))


def _blocks(labeled: Tensor, unlabeled: Tensor) -> Iterator[Tensor]:
    for part in (labeled, unlabeled):
        yield from torch.split(part, ROWS)


def start(z: Tensor, y: Tensor, components: int) -> Tensor:
    """(N,) int64, the component of each point: its class's where it has a label (y, else -1), else that of the nearest
    centre.

    Centres are the means of the classes that have a label, in their order, then points drawn with probability
    proportional to the squared distance from the nearest centre: k-means++, with draws that are always the same.
    """
    shown, own = torch.unique(y[y >= 0], return_inverse=True)
    labeled = F.one_hot(own, max(1, len(shown))).to(z)[:, : len(shown)]  # (n, K)
    means = labeled.T @ z[y >= 0] / labeled.sum(0)[:, None]  # (K, d)
    best, nearest = torch.full((len(z),), torch.inf).to(z), torch.zeros(len(z), dtype=torch.int64)
    for place in range(components):
        if place < len(means):
            centre = means[place]
        else:
            chance = best.nan_to_num(posinf=1.0).double().cumsum(0)  # all alike, where there is no centre yet
            drawn = uniform(key("sgmm", "centre"), torch.tensor([place])) * chance[-1]
            centre = z[torch.searchsorted(chance, drawn, right=True).clamp_max(len(z) - 1)]
        distance = (z - centre).square().sum(1)
        nearest[distance < best] = place
        best = best.minimum(distance)
    nearest[y >= 0] = own
    return nearest
