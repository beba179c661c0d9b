"""Hard labels, with a threshold for every class that follows the mean prediction.

Paper: Wang et al. 2023, FreeMatch, arXiv:2205.07246
"""

import torch

from sslkit import register
from sslkit.contracts import PseudoLabeler, PseudoLabels
from sslkit.losses import one_hot


@register("labeler")
class ByClass(PseudoLabeler):
    def __init__(self, setup, *, tau: float = 0.8, momentum: float = 0.9):
        super().__init__()
        self.tau, self.momentum, self.classes = tau, momentum, setup.classes
        self.register_buffer("mean", torch.full((setup.classes,), 1 / setup.classes))

    def label(self, weak, labeled, batch, step):
        self.latest = weak.p  # (N, C), for the update after the step
        confidence, y = weak.p.max(1)
        threshold = self.tau * self.mean / self.mean.max()  # (C,)
        return PseudoLabels(one_hot(y, self.classes), (confidence >= threshold[y]).float(), confidence)

    def update(self, labels, index, step):
        self.mean.lerp_(self.latest.mean(0), 1 - self.momentum)
