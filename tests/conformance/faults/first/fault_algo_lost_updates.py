"""FreeMatch's labels, with a term that keeps the mean prediction near the running shares of the classes."""

from typing import Any

import torch

from sslkit import register
from sslkit.losses import gather
from sslkit.step import PseudoLabeling


@register("algorithm")
class Shares(PseudoLabeling):
    slots = {"teacher": "ema", "labeler": "freematch", "mixer": "none"}

    def __init__(self, setup, *, weight: float = 0.1, momentum: float = 0.9, **family: Any):
        super().__init__(setup, **family)
        self.weight, self.momentum = weight, momentum
        self.register_buffer("shares", torch.full((setup.classes,), 1 / setup.classes))

    def extra(self, out_x, weak, out_u, labels, batch, step):
        mean = out_u.p.mean(0)  # (C,)
        return {"shares": -self.weight * (self.shares * (mean + 1e-6).log()).sum()}

    def after_step(self, losses, step):
        target = gather(torch.cat([loss.labels.target for loss in losses]))  # (N, C)
        self.shares.lerp_(target.mean(0), 1 - self.momentum)
