"""Algorithms that learn predictions of other networks: of finished runs, or of a file. A draft, which may still change.

The key `predictions` names them; a stage's key has what tells them from others.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from sslkit.contracts import Algorithm, PseudoLabels, Setup, Trainer
from sslkit.losses import weighted_ce


class Guided(Algorithm):
    """An algorithm that is given predictions before the first step. As a second base it stands behind the first."""

    needs: ClassVar[bool] = True  # without predictions it cannot train

    def start(self, trainer: Trainer) -> None:
        labeled, unlabeled = (trainer.given(stream) for stream in ("labeled", "unlabeled"))
        if len(unlabeled):
            self.follow(labeled, unlabeled)
        else:
            self.lead(trainer)

    def lead(self, trainer: Trainer) -> None:
        """Once, before the first step, where no predictions are given and none are needed."""

    @abstractmethod
    def follow(self, labeled: Tensor, unlabeled: Tensor) -> None:
        """Learn what M networks predict: (M, n_l, C) and (M, N_u, C) probabilities, of which rows of NaN are missing.

        What is found is a buffer. It is not called again when a stage is gone on with.
        """


class Voting(Guided):
    """What it is given is made into a target for each image. Rows of 0 are of images that nobody predicts."""

    of_labeled: Tensor  # (n_l, C) float32 targets, by index
    of_unlabeled: Tensor  # (N_u, C)

    def __init__(self, setup: Setup, **slots: object) -> None:
        super().__init__(setup, **slots)
        self.register_buffer("of_labeled", torch.zeros(setup.labeled, setup.classes))
        self.register_buffer("of_unlabeled", torch.zeros(setup.unlabeled, setup.classes))

    def follow(self, labeled: Tensor, unlabeled: Tensor) -> None:
        self.of_labeled.copy_(self.agreed(labeled))
        self.of_unlabeled.copy_(self.agreed(unlabeled))

    def agreed(self, p: Tensor) -> Tensor:
        """(N, C) targets of M networks' probabilities (M, N, C), in which rows of NaN are missing: their vote.

        q_i = mean over m of one-hot(argmax_c p_mi), over those that predict image i (2503.09707).
        """
        known = ~p.isnan().any(2)  # (M, N)
        hard = torch.zeros_like(p).scatter_(2, p.nan_to_num(0).argmax(2, keepdim=True), 1.0) * known[..., None]
        return hard.sum(0) / known.sum(0).clamp_min(1)[:, None]


def mean_of(p: Tensor) -> Tensor:
    """(N, C) the mean of M networks' probabilities (M, N, C) over those that are there; a row of 0 where none is."""
    known = ~p.isnan().any(2)  # (M, N)
    mean: Tensor = p.nan_to_num(0).sum(0) / known.sum(0).clamp_min(1)[:, None]
    return mean


def divergence(logits: Tensor, labels: PseudoLabels) -> Tensor:
    """() mean of w_i KL(target_i || softmax(logits_i)) over N images, of logits (N, C)."""
    entropy: Tensor = -(labels.weight * torch.special.xlogy(labels.target, labels.target).sum(1)).mean()
    return weighted_ce(logits, labels, n=len(logits)) - entropy


def pseudo_labels(target: Tensor) -> PseudoLabels:
    """Labels of targets (N, C), of weight 0 where a row is of 0; the target is even there."""
    weight = (target.amax(1) > 0).to(target.dtype)  # (N,) 0 or 1
    whole = target + (1 - weight)[:, None] / target.shape[1]
    return PseudoLabels(whole, weight, target.amax(1))
