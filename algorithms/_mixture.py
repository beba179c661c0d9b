"""Mixtures of Gaussians whose components have class shares, by expectation maximisation over partly labelled points."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMOOTH = 1e-3  # labelled points, of all classes alike, that each component has seen beforehand
GAIN = 1e-3  # of the objective a point, below which rounds end
TINY = 1e-12  # stands for no weight and no variance where they are divided by
BLOCK = 2**22  # numbers of one intermediate in memory at once


class Mixture(nn.Module):
    """p(z, y) = Σ_l alpha_l N(z; mu_l, Σ_l) beta_ly. Letters: M components, d dimensions, C classes."""

    alpha: Tensor  # (M,), sums to 1
    mu: Tensor  # (M, d)
    whiten: Tensor  # (M, d, d), lower triangular: inverses of the Cholesky factors of Σ_l
    beta: Tensor  # (M, C), rows sum to 1

    def __init__(self, components: int, dim: int, classes: int) -> None:
        super().__init__()
        shapes = {"alpha": (components,), "mu": (components, dim), "whiten": (components, dim, dim)}
        for name, shape in {**shapes, "beta": (components, classes)}.items():
            self.register_buffer(name, torch.zeros(shape))

    def rows(self) -> int:
        """Points whose differences from all means fit a block."""
        return max(1, BLOCK // self.mu.numel())

    def log_joint(self, z: Tensor) -> Tensor:
        """(N, M) log alpha_l N(z; mu_l, Σ_l) for points (N, d), at most `rows` of them."""
        white = torch.einsum("nmd,med->nme", z[:, None] - self.mu, self.whiten)  # (N, M, d)
        scale = self.whiten.diagonal(dim1=1, dim2=2).log().sum(1) + self.alpha.clamp_min(TINY).log()  # (M,)
        return scale - 0.5 * (white.square().sum(2) + z.shape[1] * math.log(2 * math.pi))

    def log_classes(self, z: Tensor) -> Tensor:
        """(N, C) log p(y | z)."""
        likely = [self.log_joint(block).log_softmax(1) for block in torch.split(z, self.rows())]
        return torch.cat([(part.exp() @ self.beta).log() for part in likely])


@dataclass
class Moments:
    """Sums over points, weighted by the responsibilities (N, M) of the components."""

    weight: Tensor  # (M,)
    first: Tensor  # (M, d)
    second: Tensor  # (M, d, d)
    seen: Tensor  # (M, C), of the labelled points

    @classmethod
    def none(cls, mixture: Mixture) -> Moments:
        return cls(*map(torch.zeros_like, (mixture.alpha, mixture.mu, mixture.whiten, mixture.beta)))

    def add(self, z: Tensor, share: Tensor, shown: Tensor) -> None:
        """Points (N, d) with responsibilities (N, M), and their classes (N, C): one-hot, or zeros."""
        self.weight += share.sum(0)
        self.first += share.T @ z
        self.second += (share.T[:, None] * z.T) @ z
        self.seen += share.T @ shown


def learn(mixture: Mixture, z: Tensor, y: Tensor, start: Tensor, ridge: float, rounds: int) -> list[float]:
    """Fit the mixture in place, in float64, and return its objective after each round.

    The objective never falls. It is the log-likelihood of all points with the labels there are,
    Σ_labelled log Σ_l alpha_l N_l beta_ly + Σ_others log Σ_l alpha_l N_l, minus ½ ridge v Σ_l tr(Σ_l^-1), v the mean
    variance of the points in a dimension, plus SMOOTH / C Σ_lc log beta_lc. The last two are the logarithms of priors:
    of what each covariance and each row of beta has seen beforehand.

    Args:
        z: (N, d) points.
        y: (N,) int64 classes, -1 for a point without a label.
        start: (N,) int64, the component that has each point at the start.
    """
    z = z.double()
    made = copy.deepcopy(mixture).double()
    prior = ridge * float(z.var(0, correction=0).mean().clamp_min(TINY))
    moments = Moments.none(made)
    for rows in torch.split(torch.arange(len(z)), made.rows()):
        moments.add(z[rows], F.one_hot(start[rows], len(made.alpha)).double(), _shown(y[rows], made))
    reached: list[float] = []
    for _ in range(rounds):
        _maximise(made, moments, prior)
        likelihood, moments = _expect(made, z, y)
        trace = made.whiten.square().sum()
        reached.append(likelihood - 0.5 * prior * float(trace) + SMOOTH * float(made.beta.log().mean(1).sum()))
        if len(reached) > 1 and reached[-1] - reached[-2] < GAIN * len(z):
            break
    mixture.load_state_dict(made.state_dict())
    return reached


def _shown(y: Tensor, mixture: Mixture) -> Tensor:
    """(N, C) one-hot classes, rows of zeros for -1."""
    return F.one_hot(y.clamp_min(0), mixture.beta.shape[1]).double() * (y >= 0)[:, None]


def _maximise(mixture: Mixture, moments: Moments, prior: float) -> None:
    weight, classes = moments.weight.clamp_min(TINY), moments.seen.shape[1]
    mixture.alpha.copy_(weight / weight.sum())
    mixture.mu.copy_(moments.first / weight[:, None])
    identity = torch.eye(mixture.mu.shape[1], dtype=torch.float64)
    spread = moments.second - mixture.mu[:, :, None] * moments.first[:, None]
    factor = torch.linalg.cholesky((spread + prior * identity) / weight[:, None, None])
    mixture.whiten.copy_(torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False))
    mixture.beta.copy_((moments.seen + SMOOTH / classes) / (moments.seen.sum(1, keepdim=True) + SMOOTH))


def _expect(mixture: Mixture, z: Tensor, y: Tensor) -> tuple[float, Moments]:
    """Log-likelihood of the points and labels, and the moments of the components that are responsible for them."""
    likelihood, moments = 0.0, Moments.none(mixture)
    log_beta = torch.cat([mixture.beta.log(), torch.zeros_like(mixture.alpha)[:, None]], 1)  # (M, C + 1): -1 is last
    for rows in torch.split(torch.arange(len(z)), mixture.rows()):
        joint = mixture.log_joint(z[rows]) + log_beta.T[y[rows]]  # (N, M)
        likelihood += float(joint.logsumexp(1).sum())
        moments.add(z[rows], joint.softmax(1), _shown(y[rows], mixture))
    return likelihood, moments
