"""Hard label where the confidence reaches a fixed threshold, with an estimate of how often each class is in the pool.

Paper: Lazarow et al. 2023, Unifying Distribution Alignment as a Loss for Imbalanced SSL, WACV

It remembers the mean prediction; losses that correct for uneven classes read it.
"""

import torch
from torch import Tensor

from sslkit.algorithms.labelers._running import momentum_of
from sslkit.algorithms.labelers.threshold import Threshold
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class Prior(Threshold):
    """w = [max p >= tau], target = one-hot of argmax p; `mean` is the running mean of p, from 1/C.

    Options:
        tau: threshold in [0, 1].
        momentum: of the running mean; None is `eval.decay`. Published: 0.999, for a quarter of a million steps.
        smoothing: label smoothing of the target.
    """

    mean: Tensor  # (C,) running mean of p

    def __init__(
        self, setup: Setup, *, tau: float = 0.95, momentum: float | None = None, smoothing: float = 0.0
    ) -> None:
        super().__init__(setup, tau=tau, smoothing=smoothing)
        self.momentum = momentum_of(momentum, setup)
        self.register_buffer("mean", torch.full((setup.classes,), 1 / setup.classes))

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        found = super().label(weak, labeled, batch, step)
        return PseudoLabels(found.target, found.weight, found.confidence, {"p": weak.p})

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.mean.lerp_(labels.memory["p"].mean(0), 1 - self.momentum)
