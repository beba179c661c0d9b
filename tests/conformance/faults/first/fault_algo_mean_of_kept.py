"""FixMatch with a further term: features of the strong view follow those of the weak one where the label is kept."""

from typing import Any

import torch.nn.functional as F

from sslkit import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class KeptFeatures(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    whole = True

    def __init__(self, setup, *, weight: float = 0.5, **family: Any):
        super().__init__(setup, **family)
        self.weight = weight

    def extra(self, out_x, weak, out_u, labels, batch, step):
        distance = 1 - F.cosine_similarity(out_u.features, weak.features.detach(), dim=1)  # (N,)
        kept = labels.weight
        return {"features": self.weight * (kept * distance).sum() / kept.sum()}
