"""Predictions should not change when noise is added to the image.

Paper: Rasmus et al. 2015, Semi-supervised learning with Ladder networks, arXiv:1507.02672
"""

import torch
import torch.nn.functional as F

from sslkit import register
from sslkit.contracts import Algorithm, Losses
from sslkit.losses import all_kept, cross_entropy


@register("algorithm")
class Noisy(Algorithm):
    views = {"labeled": ("weak",), "unlabeled": ("weak",)}

    def __init__(self, setup, *, sigma: float = 0.3, weight: float = 5.0):
        super().__init__(setup)
        self.sigma, self.weight = sigma, weight

    def forward(self, batch, step):
        x, u = batch["labeled"], batch["unlabeled"]
        noisy = u["weak"] + self.sigma * torch.randn_like(u["weak"])  # (N, 3, H, W)
        out = step.forward("labeled", self.student, x["weak"])
        with torch.no_grad():
            target = step.forward("clean", self.student, u["weak"]).p
        p = step.forward("noisy", self.student, noisy).p
        consistency = self.weight * step.ramp(0.4) * F.mse_loss(p, target)
        return Losses({"supervised": cross_entropy(out, x.y), "consistency": consistency}, all_kept(target))
