"""FixMatch in which images count the more the rarer their class is, by how many images it effectively has.

Paper: Lai et al. 2022, Smoothed Adaptive Weighting for Imbalanced Semi-Supervised Learning, ICML

Classes of the pool are counted by the averaged network, once in every pass over the pool; any labeler may be weighed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sslkit.average import Average
from sslkit.contracts import Batch, Losses, PseudoLabeler, PseudoLabels, Setup, Trainer
from sslkit.losses import as_target, images_a_step, one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class SAW(PseudoLabeling):
    """L = mean v_y H(y, p(x)) + lambda_u mean u_ŷ w H(target, p(strong)), v and u by `effective` of class counts.

    v is of the labels, u of the averaged network's likeliest classes for the whole pool. In the first pass over the
    pool all u are 1.
    """

    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    weights: Tensor  # (C,) v

    def __init__(self, setup: Setup, *, labeler: PseudoLabeler, **family: Any) -> None:
        super().__init__(setup, labeler=Weighed(labeler, setup.classes), **family)
        self.classes, self.pool = setup.classes, setup.unlabeled
        self.average = Average(setup.averaged, setup.decay, setup.buffers)  # it is the one that is reported
        self.register_buffer("weights", effective(setup.class_counts))

    def supervised(self, out: Output, y: Tensor, step: Step) -> Tensor:
        target = as_target(y, self.classes)  # (B, C)
        return -(target * self.weights * out.logits.log_softmax(1)).sum(1).mean()

    def train_step(self, trainer: Trainer, batches: Sequence[Batch], steps: Sequence[Step]) -> list[Losses]:
        index = steps[0].index
        seen = images_a_step(batches)
        if index and index * seen // self.pool > (index - 1) * seen // self.pool:
            guess = trainer.encode(self.average.network, "unlabeled").logits.argmax(1)  # (N_u,)
            counts = one_hot(guess, self.classes).sum(0)  # (C,)
            assert isinstance(self.labeler, Weighed)
            self.labeler.weights.copy_(effective(counts))
        return super().train_step(trainer, batches, steps)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        super().after_step(losses, step)
        self.average.update(self.student)


class Weighed(PseudoLabeler):
    """A labeler whose weights are multiplied by those of the targets' likeliest classes."""

    weights: Tensor  # (C,) u

    def __init__(self, labeler: PseudoLabeler, classes: int) -> None:
        super().__init__()
        self.labeler = labeler
        self.register_buffer("weights", torch.ones(classes))

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        labels = self.labeler.label(weak, labeled, batch, step)
        weight = labels.weight * self.weights[labels.target.argmax(1)]  # (N,)
        return replace(labels, weight=weight, memory={**labels.memory, "unweighed": labels.weight})

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.labeler.update(replace(labels, weight=labels.memory["unweighed"]), index, step)


def effective(counts: Tensor) -> Tensor:
    """(C,) float32 (1 - b) / (1 - b^n_c), brought to the mean 1, of counts n (C,); none counts as one.

    b = (m - 1) / m, with m the mean of the counts: the inverse of the effective number of images (Cui et al. 2019,
    arXiv:1901.05555).
    """
    n = counts.double().clamp_min(1)
    inverse = 1 / n.mean()
    found = inverse / -torch.expm1(n * torch.log1p(-inverse))
    return (found / found.mean()).float()
