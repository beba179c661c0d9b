"""FixMatch with an entropy term that grows as the teacher becomes sure of the batch."""

from typing import Any

from sslkit import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class SureEntropy(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}

    def __init__(self, setup, *, weight: float = 0.1, **family: Any):
        super().__init__(setup, **family)
        self.weight = weight

    def extra(self, out_x, weak, out_u, labels, batch, step):
        sure = labels.confidence.mean().item()
        entropy = -(out_u.p * out_u.logits.log_softmax(1)).sum(1).mean()
        return {"entropy": self.weight * sure * entropy}
