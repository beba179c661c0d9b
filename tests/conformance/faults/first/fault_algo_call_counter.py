"""Two weak views of one image are predicted alike, with a weight that warms up over the first steps.

Paper: Laine and Aila 2017, Temporal Ensembling, arXiv:1610.02242
"""

import torch
import torch.nn.functional as F

from sslkit import register
from sslkit.contracts import Algorithm, Losses
from sslkit.losses import all_kept, cross_entropy


@register("algorithm")
class WarmPi(Algorithm):
    views = {"labeled": ("weak",), "unlabeled": ("weak", "weak2")}

    def __init__(self, setup, *, weight: float = 10.0, warmup: int = 50):
        super().__init__(setup)
        self.weight, self.warmup = weight, max(1, warmup)
        self.calls = 0

    def forward(self, batch, step):
        x, u = batch["labeled"], batch["unlabeled"]
        self.calls += 1
        ramp = min(1.0, self.calls / self.warmup)
        out = step.forward("labeled", self.student, x["weak"])
        with torch.no_grad():
            target = step.forward("target", self.student, u["weak"]).p
        p = step.forward("student", self.student, u["weak2"]).p
        consistency = self.weight * ramp * F.mse_loss(p, target)
        return Losses({"supervised": cross_entropy(out, x.y), "consistency": consistency}, all_kept(target))
