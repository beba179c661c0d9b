"""Every image counts, the less the further its confidence lies below the running mean.

Paper: Chen et al. 2023, SoftMatch, arXiv:2301.10921, eq. 7 and 8

It remembers the mean and the variance of confidences, and the mean prediction.
"""

import torch
from torch import Tensor

from sslkit.algorithms.labelers._running import Alignment, momentum_of
from sslkit.algorithms.labelers.threshold import check
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class SoftMatch(PseudoLabeler):
    """w = exp(-n^2 min(max q - mu, 0)^2 / (2 sigma^2)), q = p aligned with even classes; target = one-hot of argmax p.

    mu and sigma^2 are running means of the mean and of the unbiased variance of max q in a batch, from 1/C and 1.

    Options:
        n: one standard deviation below the mean the weight is exp(-n^2 / 2); the larger, the nearer to a threshold.
        align: weigh by aligned predictions; else by plain ones.
        momentum: of the running means; None is `eval.decay`. Published: 0.999, for a million steps.
        smoothing: label smoothing of the target.
    """

    mu: Tensor  # () running mean of max q
    variance: Tensor  # ()

    def __init__(
        self, setup: Setup, *, n: float = 2.0, align: bool = True, momentum: float | None = None, smoothing: float = 0.0
    ) -> None:
        super().__init__()
        if n < 0:
            raise UserError(f"labeler.n must be 0 or more, got {n}")
        self.n, self.classes = n, setup.classes
        _, self.smoothing = check(0.0, smoothing)
        self.momentum = momentum_of(momentum, setup)
        self.align = Alignment(setup, "uniform", self.momentum) if align else None
        self.register_buffer("mu", torch.tensor(1 / setup.classes))
        self.register_buffer("variance", torch.tensor(1.0))

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        p = weak.p  # (N, C)
        confidence = (self.align(p) if self.align else p).amax(1)  # (N,)
        below = (confidence - self.mu).clamp_max(0)  # (N,)
        weight = (-(self.n**2) * below**2 / (2 * self.variance)).exp()  # (N,)
        target = one_hot(p.argmax(1), self.classes, self.smoothing)  # (N, C)
        return PseudoLabels(target, weight, confidence, {"p": p, "labeled": labeled.p})

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        found = labels.confidence  # (N,)
        self.mu.lerp_(found.mean(), 1 - self.momentum)
        if len(found) > 1:
            self.variance.lerp_(found.var(), 1 - self.momentum)
        if self.align:
            self.align.update(labels.memory["p"], labels.memory["labeled"], step)
