"""Hard labels above a threshold that follows the running mean of the confidence."""

import torch

from sslkit import register
from sslkit.contracts import PseudoLabeler, PseudoLabels
from sslkit.losses import one_hot


@register("labeler")
class RunningThreshold(PseudoLabeler):
    def __init__(self, setup, *, momentum: float = 0.9):
        super().__init__()
        self.momentum, self.classes = momentum, setup.classes
        self.mean = torch.tensor(1 / setup.classes)

    def label(self, weak, labeled, batch, step):
        confidence, y = weak.p.max(1)
        keep = confidence >= self.mean.to(confidence.device)
        return PseudoLabels(one_hot(y, self.classes), keep.float(), confidence)

    def update(self, labels, index, step):
        mean = self.mean.to(labels.confidence.device)
        self.mean = torch.lerp(mean, labels.confidence.mean(), 1 - self.momentum)
