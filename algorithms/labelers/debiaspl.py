"""The hard label of the prediction without the model's own bias, where that is confident enough.

Paper: Wang et al. 2022, Debiased Learning from Naturally Imbalanced Pseudo-Labels, arXiv:2201.01490

It remembers the mean prediction.
"""

import torch
from torch import Tensor

from sslkit.algorithms.labelers._running import momentum_of
from sslkit.algorithms.labelers.threshold import check
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class DebiasPL(PseudoLabeler):
    """w = [max q >= tau], q = softmax(z - kappa log mean), target = one-hot of argmax q.

    The mean is the running one of softmax(z), as it is, and begins even, so that nothing is moved at first.

    Options:
        tau: threshold in [0, 1]; published for ImageNet: 0.8.
        kappa: how much of the bias is taken away.
        momentum: of the running mean; None is `eval.decay`. Published: 0.999.
        smoothing: label smoothing of the target.
    """

    mean: Tensor  # (C,) running mean of p

    def __init__(
        self,
        setup: Setup,
        *,
        tau: float = 0.95,
        kappa: float = 0.4,
        momentum: float | None = None,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if kappa < 0:
            raise UserError(f"labeler.kappa must be 0 or more, got {kappa}")
        self.tau, self.smoothing = check(tau, smoothing)
        self.kappa, self.momentum, self.classes = kappa, momentum_of(momentum, setup), setup.classes
        self.register_buffer("mean", torch.full((setup.classes,), 1 / setup.classes))

    def bias(self) -> Tensor:
        """(C,) kappa log mean, finite."""
        return self.kappa * self.mean.clamp_min(torch.finfo(self.mean.dtype).tiny).log()

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        confidence, y = (weak.logits - self.bias()).softmax(1).max(1)  # (N,), (N,) int64
        target = one_hot(y, self.classes, self.smoothing)  # (N, C)
        return PseudoLabels(target, (confidence >= self.tau).float(), confidence, {"p": weak.p})

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.mean.lerp_(labels.memory["p"].mean(0), 1 - self.momentum)
