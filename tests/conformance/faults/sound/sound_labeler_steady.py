"""An image counts if its label is the one that it had when it was last seen, or if it is very confident."""

import torch

from sslkit import register
from sslkit.contracts import PseudoLabeler, PseudoLabels
from sslkit.losses import one_hot


@register("labeler")
class Steady(PseudoLabeler):
    def __init__(self, setup, *, tau: float = 0.9):
        super().__init__()
        self.tau, self.classes = tau, setup.classes
        self.register_buffer("last", torch.full((setup.unlabeled,), setup.classes))  # (N_u,) int64, C: not seen

    def label(self, weak, labeled, batch, step):
        confidence, y = weak.p.max(1)
        # `label` may be asked about other images than the pool's: only then are there other numbers of rows
        index = batch["unlabeled"].index
        same = self.last[index] == y if len(index) == len(y) else torch.zeros_like(y, dtype=torch.bool)
        weight = (same | (confidence >= self.tau)).float()
        return PseudoLabels(one_hot(y, self.classes), weight, confidence)

    def update(self, labels, index, step):
        place = torch.arange(len(index), device=index.device)
        latest = torch.full_like(self.last, -1).scatter_reduce_(0, index, place, "amax")  # of an image seen twice
        found = labels.target.argmax(1)[latest.clamp_min(0)]
        self.last.copy_(torch.where(latest >= 0, found, self.last))
