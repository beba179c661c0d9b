"""FixMatch in which images that miss the threshold count, too, by their sharpened predictions.

Paper: Nguyen and Yang 2023, ReFixMatch, arXiv:2308.07509
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from sslkit.algorithms.labelers.sharpened import check_temperature
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class ReFixMatch(PseudoLabeling):
    """L = FixMatch's + lambda_u / (mu B) sum_i (1 - w_i) KL(softmax(z_i / temperature) || p(strong_i)).

    It is the authors' form: sharpened logits against a student that is not; other programs sharpen probabilities, and
    the student, too.

    Options:
        temperature: of the predictions for rejected images.
    """

    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    whole = True

    def __init__(self, setup: Setup, *, temperature: float = 0.5, **family: Any) -> None:
        super().__init__(setup, **family)
        self.temperature = check_temperature(temperature, "algo.temperature")

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        target = (weak.logits / self.temperature).log_softmax(1)  # (N, C)
        apart = F.kl_div(out_u.logits.log_softmax(1), target, reduction="none", log_target=True).sum(1)  # (N,)
        return {"rejected": self.strength(step) * ((1 - labels.weight) * apart).mean()}
