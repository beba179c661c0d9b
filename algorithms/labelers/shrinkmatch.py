"""The aligned prediction, whole, where its confidence reaches a fixed threshold; and what share of images does so.

Paper: Yang et al. 2023, ShrinkMatch, arXiv:2308.06777

It remembers the means of the last batches' predictions, and the running share of kept images.
"""

import torch
from torch import Tensor

from sslkit.algorithms.labelers._running import Recent, momentum_of
from sslkit.algorithms.labelers.threshold import check
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class ShrinkMatch(PseudoLabeler):
    """w = [max q >= tau], target q = p aligned with the last batches, so that classes become even.

    Options:
        tau: threshold in [0, 1].
        batches: how many means of batches are remembered.
        momentum: of the running share of kept images; None is `eval.decay`. Published: 0.999.
    """

    rho: Tensor  # () running share of kept images, which begins with that of the first batch

    def __init__(self, setup: Setup, *, tau: float = 0.95, batches: int = 32, momentum: float | None = None) -> None:
        super().__init__()
        if batches < 1:
            raise UserError(f"labeler.batches must be 1 or more, got {batches}")
        self.tau, _ = check(tau, 0.0)
        self.align, self.momentum = Recent(setup, batches), momentum_of(momentum, setup)
        self.register_buffer("rho", torch.tensor(0.0))

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        q = self.align(weak.p)  # (N, C)
        confidence = q.amax(1)  # (N,)
        return PseudoLabels(q, (confidence >= self.tau).float(), confidence, {"p": weak.p})

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.align.update(labels.memory["p"], step)
        self.rho.lerp_(labels.weight.to(self.rho).mean(), 1.0 if step.index == 0 else 1 - self.momentum)
