"""An image counts if its confidence is above the mean of those before."""

import torch
from torch import Tensor

from sslkit import register
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step


@register("labeler")
class Mine(PseudoLabeler):
    """Options:
    momentum: of the running mean.
    """

    mean: Tensor  # () of the confidences; a buffer, so that it outlives a restart

    def __init__(self, setup: Setup, *, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.tensor(1 / setup.classes))

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        confidence, y = weak.p.max(1)  # (N,), (N,) int64
        keep = (confidence >= self.mean).float()  # (N,)
        return PseudoLabels(one_hot(y, weak.logits.shape[1]), keep, confidence)

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.mean.lerp_(labels.confidence.mean(), 1 - self.momentum)  # after the step, of the whole global batch
