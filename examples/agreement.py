"""An algorithm of your own: two views of one image should be given the same probabilities.

    sslkit run --plugin examples/agreement.py --algo agreement

Paper: Laine and Aila 2017, Temporal ensembling, arXiv:1610.02242 (with two weak views: `pi_model`)
"""

import torch.nn.functional as F

from sslkit import register
from sslkit.contracts import Algorithm, Batch, Losses, Setup
from sslkit.losses import cross_entropy
from sslkit.randomness import Step


@register("algorithm", "agreement")
class Agreement(Algorithm):
    """L = H(y, student(x)) + weight * ramp * mean of (p_weak - p_strong)^2 over images and classes.

    Options:
        weight: of the consistency term after its ramp.
        ramp: share of the steps over which the weight rises linearly from 0.
    """

    def __init__(self, setup: Setup, *, weight: float = 10.0, ramp: float = 0.4) -> None:
        super().__init__(setup)
        self.weight, self.ramp = weight, ramp

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]
        supervised = cross_entropy(step.forward("labeled", self.student, x["weak"]), x.y)
        target = step.forward("target", self.student, u["weak"]).p.detach()
        p = step.forward("student", self.student, u["strong"]).p
        consistency = self.weight * step.ramp(self.ramp) * F.mse_loss(p, target)
        return Losses({"supervised": supervised, "consistency": consistency})
