"""FixMatch whose labels lose the model's bias for some classes, and whose student has to overcome it.

Paper: Wang et al. 2022, Debiased Learning from Naturally Imbalanced Pseudo-Labels, arXiv:2201.01490

One weak and one strong view, and FixMatch's threshold and weight. Published for ImageNet with 1% of the labels: two of
each, an averaged teacher (`--teacher ema`), tau 0.8 and lambda_u 10; values for small images were not. Labels and
margin take the mean that the steps before have left; published code moves it between the two.
"""

from typing import Any

from torch import Tensor

from sslkit.algorithms.labelers.debiaspl import DebiasPL as Labeler
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import weighted_ce
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class DebiasPL(PseudoLabeling):
    """L = H(y, p(x)) + lambda_u / (mu B) sum_i w_i H(target_i, softmax(z_i + kappa log mean)), z_i of the strong view.

    Mean and kappa are the labeler's. The terms are FixMatch's, of z_i as it is, and `margin`, the difference to it.
    """

    slots = {"teacher": "self", "labeler": "debiaspl", "mixer": "none"}
    whole = True

    def __init__(self, setup: Setup, **family: Any) -> None:
        super().__init__(setup, **family)
        if not isinstance(self.labeler, Labeler):
            raise UserError("debiaspl's margin needs the running mean of --labeler debiaspl")

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        assert isinstance(self.labeler, Labeler)
        plain, moved = (
            weighted_ce(z, labels, n=len(labels.weight)) for z in (out_u.logits, out_u.logits + self.labeler.bias())
        )  # () each
        return {"margin": self.strength(step) * (moved - plain)}
