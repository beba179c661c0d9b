"""FixMatch whose logits are corrected at test time for the classes that it prefers.

Paper: Menon et al. 2021, Long-tail learning via logit adjustment, arXiv:2007.07314
"""

from typing import Any

from sslkit import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class Adjusted(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}

    def __init__(self, setup, *, strength: float = 0.5, **family: Any):
        super().__init__(setup, **family)
        self.strength_of_prior = strength

    def predict(self, network, images):
        output = network(images)
        prior = output.p.mean(0, keepdim=True)  # (1, C)
        return output.logits - self.strength_of_prior * (prior + 1e-6).log()
