"""Entropy minimisation on the weak view of the pool, with a ramp.

Paper: Grandvalet and Bengio 2004, Semi-supervised learning by entropy minimization
"""

from sslkit import register
from sslkit.contracts import Algorithm, Losses
from sslkit.losses import all_kept, cross_entropy


@register("algorithm")
class EntMin(Algorithm):
    views = {"labeled": ("weak",), "unlabeled": ("weak",)}

    def __init__(self, setup, *, weight: float = 0.1, ramp: float = 0.3):
        super().__init__(setup)
        self.weight, self.ramp = weight, ramp

    def forward(self, batch, step):
        x, u = batch["labeled"], batch["unlabeled"]
        out_x = step.forward("labeled", self.student, x["weak"])
        out_u = step.forward("student", self.student, u["weak"])
        entropy = -(out_u.p * out_u.logits.log_softmax(1)).sum(1).mean()
        terms = {
            "supervised": cross_entropy(out_x, x.label),
            "entropy": self.weight * step.ramp(self.ramp) * entropy,
        }
        return Losses(terms, all_kept(out_u.detach().p))
