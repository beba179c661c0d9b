"""An image counts if its label is the one that it had when it was last seen."""

import torch

from sslkit import register
from sslkit.contracts import PseudoLabeler, PseudoLabels
from sslkit.losses import one_hot


@register("labeler")
class Steady(PseudoLabeler):
    def __init__(self, setup, *, tau: float = 0.5):
        super().__init__()
        self.tau, self.classes = tau, setup.classes
        unseen = torch.full((setup.unlabeled,), setup.classes)  # (N_u,) int64, C where an image was not seen
        self.register_buffer("last", unseen, persistent=False)

    def label(self, weak, labeled, batch, step):
        confidence, y = weak.p.max(1)
        index = batch["unlabeled"].index
        same = self.last[index] == y if len(index) == len(y) else torch.zeros_like(y, dtype=torch.bool)
        steady = same | (confidence >= self.tau)
        return PseudoLabels(one_hot(y, self.classes), steady.float(), confidence)

    def update(self, labels, index, step):
        place = torch.arange(len(index), device=index.device)
        latest = torch.full_like(self.last, -1).scatter_reduce_(0, index, place, "amax")  # of an image seen twice
        found = labels.target.argmax(1)[latest.clamp_min(0)]
        self.last.copy_(torch.where(latest >= 0, found, self.last))
