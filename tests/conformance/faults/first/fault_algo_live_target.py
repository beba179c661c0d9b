"""Soft pseudo-labels: the prediction for the weak view is the target of the strong one, where it is confident."""

from sslkit import register
from sslkit.contracts import Algorithm, Losses, PseudoLabels
from sslkit.losses import cross_entropy, weighted_ce


@register("algorithm")
class SoftLabels(Algorithm):
    def __init__(self, setup, *, tau: float = 0.5, weight: float = 1.0):
        super().__init__(setup)
        self.tau, self.weight = tau, weight

    def forward(self, batch, step):
        x, u = batch["labeled"], batch["unlabeled"]
        out = step.forward("labeled", self.student, x["weak"])
        weak = step.forward("weak", self.student, u["weak"])
        strong = step.forward("strong", self.student, u["strong"])
        p = weak.p  # (N, C)
        confidence = p.amax(1)
        labels = PseudoLabels(p, (confidence >= self.tau).float(), confidence)
        unlabeled = self.weight * weighted_ce(strong.logits, labels, n=len(u.index))
        return Losses({"supervised": cross_entropy(out, x.y), "unlabeled": unlabeled}, labels)
