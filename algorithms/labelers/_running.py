"""Running means over steps, and the alignment of predictions with them.

What is used in a step is what the steps before have left. Published code counts the step's own batch first; without it
a batch means the same in one piece, in micro-batches, and spread over several processes.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from sslkit.contracts import Setup
from sslkit.errors import UserError
from sslkit.randomness import Step

EPS = 1e-6


def momentum_of(momentum: float | None, setup: Setup, key: str = "labeler.momentum") -> float:
    """The momentum of running means; None is that of the averaged network, as both need a memory of some of the steps.

    Args:
        key: the name of the option.

    Raises:
        UserError: it is not in [0, 1).
    """
    momentum = setup.decay if momentum is None else momentum
    if not 0 <= momentum < 1:
        raise UserError(f"{key} must be in [0, 1), got {momentum}")
    return momentum


class Alignment(nn.Module):
    """q ∝ p goal / mean: predictions whose running mean becomes the goal (Berthelot et al. 2020, arXiv:1911.09785).

    Args:
        goal: "uniform"; "prior", the shares of classes among the labelled images; or "model", the running mean of
            the predictions for labelled images, which begins uniform (AdaMatch, arXiv:2106.04732).
    """

    mean: Tensor  # (C,) of the unlabelled images; the goal until there was a step, so that nothing is moved
    goal: Tensor  # (C,)

    def __init__(self, setup: Setup, goal: Literal["uniform", "prior", "model"], momentum: float) -> None:
        super().__init__()
        self.moves, self.momentum = goal == "model", momentum
        counts = setup.class_counts.float() if goal == "prior" else torch.ones(setup.classes)
        self.register_buffer("goal", counts / counts.sum())
        self.register_buffer("mean", self.goal.clone())

    def forward(self, p: Tensor) -> Tensor:
        """(N, C) rows that sum to 1, of probabilities (N, C)."""
        q = p * (self.goal + EPS) / (self.mean + EPS)  # (N, C)
        return q / q.sum(1, keepdim=True)

    def update(self, p: Tensor, labeled: Tensor, step: Step) -> None:
        """Learn from probabilities (N, C) of unlabelled, (B, C) of labelled images; the first mean is the batch's."""
        self.mean.lerp_(p.mean(0), 1.0 if step.index == 0 else 1 - self.momentum)
        if self.moves:
            self.goal.lerp_(labeled.mean(0), 1 - self.momentum)


class Recent(nn.Module):
    """q ∝ p / mean, with the mean of the last batches' means, as in CoMatch's and ShrinkMatch's code (2011.11183)."""

    history: Tensor  # (length, C) means of batches; zeros where there was none

    def __init__(self, setup: Setup, length: int) -> None:
        super().__init__()
        self.register_buffer("history", torch.zeros(length, setup.classes))

    def forward(self, p: Tensor) -> Tensor:
        """(N, C) rows that sum to 1, of probabilities (N, C); as they are until there was a step."""
        total = self.history.sum(0)  # (C,)
        q = p / (total / total.sum().clamp_min(EPS) + EPS)  # (N, C)
        return q / q.sum(1, keepdim=True)

    def update(self, p: Tensor, step: Step) -> None:
        """Learn from probabilities (N, C) of unlabelled images; the oldest batch is forgotten."""
        self.history[step.index % len(self.history)].copy_(p.mean(0))
