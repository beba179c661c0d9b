"""Pseudo-labels of the weak view, for confident images alone, whose rows are taken out of the batch."""

import torch
import torch.nn.functional as F

from sslkit import register
from sslkit.contracts import Algorithm, Losses, PseudoLabels
from sslkit.losses import cross_entropy, one_hot


@register("algorithm")
class ConfidentRows(Algorithm):
    def __init__(self, setup, *, tau: float = 0.6, weight: float = 1.0):
        super().__init__(setup)
        self.tau, self.weight, self.classes = tau, weight, setup.classes

    def forward(self, batch, step):
        x, u = batch["labeled"], batch["unlabeled"]
        out = step.forward("labeled", self.student, x["weak"])
        with torch.no_grad():
            p = step.forward("weak", self.student, u["weak"]).p  # (N, C)
        confidence, y = p.max(1)
        keep = confidence >= self.tau
        logits = step.forward("strong", self.student, u["strong"]).logits
        lost = F.cross_entropy(logits[keep], y[keep], reduction="sum") / len(keep)
        labels = PseudoLabels(one_hot(y, self.classes), keep.float(), confidence)
        return Losses({"supervised": cross_entropy(out, x.y), "unlabeled": self.weight * lost}, labels)
