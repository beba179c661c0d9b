"""A threshold for all and one for every class, both learned from the predictions themselves.

Paper: Wang et al. 2023, FreeMatch, arXiv:2205.07246, eq. 5 to 8

It remembers the mean confidence, the mean prediction and how often each class was predicted.
"""

import torch
from torch import Tensor

from sslkit.algorithms.labelers._running import momentum_of
from sslkit.algorithms.labelers.threshold import check
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class FreeMatch(PseudoLabeler):
    """w = [max p >= T_argmax], T_c = tau mean_c / max mean; tau and mean are running means of max p and of p.

    All begin at 1/C, so that nearly all images pass at first.

    Options:
        momentum: of the running means; None is `eval.decay`. Published: 0.999, for a million steps.
        smoothing: label smoothing of the target.
    """

    tau: Tensor  # () running mean of max p
    mean: Tensor  # (C,) running mean of p
    shares: Tensor  # (C,) running shares of classes among argmax p

    def __init__(self, setup: Setup, *, momentum: float | None = None, smoothing: float = 0.0) -> None:
        super().__init__()
        self.momentum, self.classes = momentum_of(momentum, setup), setup.classes
        _, self.smoothing = check(0.0, smoothing)
        even = torch.full((setup.classes,), 1 / setup.classes)
        self.register_buffer("tau", even[0].clone())
        self.register_buffer("mean", even)
        self.register_buffer("shares", even.clone())

    def thresholds(self) -> Tensor:
        """(C,), the threshold of every class now."""
        return self.tau * self.mean / self.mean.max()

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        p = weak.p  # (N, C)
        confidence, y = p.max(1)  # (N,), (N,) int64
        weight = (confidence >= self.thresholds()[y]).float()  # (N,)
        return PseudoLabels(one_hot(y, self.classes, self.smoothing), weight, confidence, {"p": p})

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        p = labels.memory["p"]  # (N, C)
        self.tau.lerp_(labels.confidence.mean(), 1 - self.momentum)
        self.mean.lerp_(p.mean(0), 1 - self.momentum)
        self.shares.lerp_(one_hot(p.argmax(1), self.classes).to(p).mean(0), 1 - self.momentum)
