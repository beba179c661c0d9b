"""FixMatch with a second head that sees classes as if they were equally frequent, and which classifies."""

from typing import Any

import torch
from torch import nn

from sslkit import register
from sslkit.losses import one_hot
from sslkit.step import PseudoLabeling


@register("algorithm")
class EvenHead(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    decides = "even"

    @classmethod
    def heads(cls, features, classes):
        return {"even": nn.Linear(features, classes)}

    def __init__(self, setup, *, weight: float = 1.0, **family: Any):
        super().__init__(setup, **family)
        self.weight, self.classes = weight, setup.classes
        counts = setup.class_counts.float().clamp_min(1)
        self.register_buffer("rarity", counts.mean() / counts)

    def extra(self, out_x, weak, out_u, labels, batch, step):
        x = batch["labeled"]
        target = one_hot(x.y, self.classes) if x.y.ndim == 1 else x.y  # (B, C)
        log_p = self.student.added["even"](out_x.features).log_softmax(1)  # (B, C)
        return {"even": -self.weight * (self.rarity[x.label] * (target * log_p).sum(1)).mean()}
