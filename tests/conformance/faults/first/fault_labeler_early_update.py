"""Predictions aligned with even classes, by a running mean of predictions.

Paper: Berthelot et al. 2020, ReMixMatch, arXiv:1911.09785
"""

import torch

from sslkit import register
from sslkit.contracts import PseudoLabeler, PseudoLabels


@register("labeler")
class Aligned(PseudoLabeler):
    def __init__(self, setup, *, tau: float = 0.5, momentum: float = 0.9):
        super().__init__()
        self.tau, self.momentum = tau, momentum
        self.register_buffer("mean", torch.full((setup.classes,), 1 / setup.classes))

    def label(self, weak, labeled, batch, step):
        p = weak.p  # (N, C)
        self.mean.lerp_(p.mean(0), 1 - self.momentum)
        q = p / (self.mean + 1e-6)
        q = q / q.sum(1, keepdim=True)
        confidence = q.amax(1)
        return PseudoLabels(q, (confidence >= self.tau).float(), confidence)
