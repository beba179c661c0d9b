"""UDAL that estimates how often each unlabelled class is, with a term for the images that miss the threshold.

Paper: Sanchez Aimar et al. 2024, Flexible Distribution Alignment, ECCV, arXiv:2306.04621

The term has the temperature 1 of the settings that the authors released.
"""

from typing import Any

from torch import Tensor

from sslkit.algorithms.udal import UDAL
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import weighted_ce
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class ADELLO(UDAL):
    """UDAL with g = m^a normalised, plus weight mean_i [w_i = 0] H(p_i, z_i + ln(m / g)), p sg of the weak view.

    m is the labeler's running mean of predictions: nothing is taken for granted of the unlabelled images' classes.

    Options:
        weight: of the rejected images' term.
        wait: share of the steps before that term sets in. Published: 50,000 of 262,144.
    """

    def __init__(self, setup: Setup, *, weight: float = 1.0, wait: float = 0.19, **family: Any) -> None:
        super().__init__(setup, **family)
        if weight < 0 or not 0 <= wait <= 1:
            raise UserError(f"algo.weight must be 0 or more and algo.wait in [0, 1], got {weight} and {wait}")
        self.weight, self.wait = weight, wait

    def goal(self) -> Tensor:
        return self.estimate()

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        logits = out_u.logits + self.correction(self.estimate(), step)  # (N, C)
        rest = PseudoLabels(weak.p, (labels.weight == 0).float(), labels.confidence)
        strength = self.weight if step.index >= self.wait * step.total else 0.0
        terms = super().extra(out_x, weak, out_u, labels, batch, step)
        return terms | {"rejected": strength * weighted_ce(logits, rest, n=len(logits))}
