"""Two weak views of one image should be given the same probabilities.

Paper: Laine and Aila 2017, Temporal Ensembling, arXiv:1610.02242

As in Google's and TorchSSL's comparisons: one of the two predictions is the target and has no gradient, the weight
rises linearly, and the term is of the pool. In the paper both have a gradient, the weight rises as exp(-5 (1 - t)^2),
and the term is of labelled images, too (`--pool all` has them in the pool).
"""

import torch
import torch.nn.functional as F

from sslkit.contracts import Algorithm, Batch, Losses, Setup
from sslkit.errors import UserError
from sslkit.losses import all_kept, cross_entropy, frozen_stats
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class PiModel(Algorithm):
    """L = H(y, student(x)) + weight * ramp * mean over images and classes of (p(weak2) - sg p(weak))^2.

    Both views have draws of their own for dropout, too. Only labelled images move BatchNorm's statistics.

    Options:
        weight: of the consistency term after its ramp.
        ramp: share of the steps over which the weight rises linearly from 0.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "weak2")}

    def __init__(self, setup: Setup, *, weight: float = 10.0, ramp: float = 0.4) -> None:
        super().__init__(setup)
        if weight < 0 or not 0 <= ramp <= 1:
            raise UserError(f"algo.weight must be 0 or more and algo.ramp in [0, 1], got {weight} and {ramp}")
        self.weight, self.ramp = weight, ramp

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        with frozen_stats(self.student):
            with torch.no_grad():
                target = step.forward("target", self.student, u["weak"]).p  # (N, C)
            p = step.forward("student", self.student, u["weak2"]).p  # (N, C)
        consistency = self.weight * step.ramp(self.ramp) * F.mse_loss(p, target)  # ()
        labels = all_kept(target)
        return Losses({"supervised": cross_entropy(out_x, x.y), "consistency": consistency}, labels)
