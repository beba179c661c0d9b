"""Hard labels of aligned predictions above a running quantile of their confidence.

It remembers the quantile, and the mean prediction.
"""

import torch

from sslkit import register
from sslkit.contracts import PseudoLabeler, PseudoLabels
from sslkit.errors import UserError
from sslkit.losses import one_hot


@register("labeler")
class RunningQuantile(PseudoLabeler):
    def __init__(self, setup, *, share: float = 0.5, momentum: float = 0.9):
        super().__init__()
        if not 0 <= share <= 1 or not 0 <= momentum < 1:
            raise UserError(f"labeler.share must be in [0, 1] and momentum in [0, 1), got {share} and {momentum}")
        self.share, self.momentum, self.classes = share, momentum, setup.classes
        self.register_buffer("level", torch.tensor(1 / setup.classes))
        self.register_buffer("mean", torch.full((setup.classes,), 1 / setup.classes))

    def label(self, weak, labeled, batch, step):
        p = weak.p  # (N, C)
        q = p / (self.classes * self.mean + 1e-6)
        q = q / q.sum(1, keepdim=True)
        confidence, y = q.max(1)
        keep = confidence >= self.level
        return PseudoLabels(one_hot(y, self.classes), keep.float(), confidence.clamp(0, 1), {"p": p})

    def update(self, labels, index, step):
        rising = labels.confidence.sort().values
        self.level.lerp_(rising[int(self.share * (len(rising) - 1))], 1 - self.momentum)
        self.mean.lerp_(labels.memory["p"].mean(0), 1 - self.momentum)
