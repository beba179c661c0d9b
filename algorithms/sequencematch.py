"""FlexMatch with a medium view: each view's prediction is also drawn to those of the milder ones.

Paper: Nguyen 2023, SequenceMatch, arXiv:2310.15787

The published strong view is `--set views.strong=usb`.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from sslkit.algorithms.labelers.sharpened import check_temperature
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class SequenceMatch(PseudoLabeling):
    """L = FlexMatch's + lambda_u (D(weak, medium) + D(medium, strong) + D(weak, strong)).

    D(a, b) = 1 / (mu B) sum_i [max p(a_i) >= tau] KL(softmax(z(a_i) / temperature) || p(b_i)), whose gradient goes
    through b alone. It is the authors' form; USB's port sharpens probabilities, and masks all terms as FlexMatch does.
    What the paper has for rejected images is off in the authors' settings, and is not here.

    With `joint` the medium views still have a forward of their own.

    Options:
        tau: threshold of D, in [0, 1]; the labeler's is its own.
        temperature: of the predictions that are targets of D.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "medium", "strong")}
    slots = {"teacher": "self", "labeler": "flexmatch", "mixer": "none"}
    whole = True

    def __init__(self, setup: Setup, *, tau: float = 0.95, temperature: float = 0.5, **family: Any) -> None:
        super().__init__(setup, **family)
        if not 0 <= tau <= 1:
            raise UserError(f"algo.tau is a confidence and must be in [0, 1], got {tau}")
        self.tau = tau
        self.temperature = check_temperature(temperature, "algo.temperature")

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        medium = step.forward("medium", self.student, batch["unlabeled"]["medium"])  # logits (N, C)
        strength = self.strength(step)
        return {
            "weak to medium": strength * self.apart(weak, medium),
            "medium to strong": strength * self.apart(medium.detach(), out_u),
            "weak to strong": strength * self.apart(weak, out_u),
        }

    def apart(self, milder: Output, harder: Output) -> Tensor:
        """D, a scalar, of outputs (N, C) of which the milder view's have no gradient."""
        target = (milder.logits / self.temperature).log_softmax(1)  # (N, C)
        kl = F.kl_div(harder.logits.log_softmax(1), target, reduction="none", log_target=True).sum(1)  # (N,)
        return ((milder.p.amax(1) >= self.tau) * kl).mean()
