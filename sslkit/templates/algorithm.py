"""FixMatch, with predictions on strong views that are also drawn to be certain."""

from typing import Any

from torch import Tensor

from sslkit import register
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.step import PseudoLabeling


@register("algorithm")
class Mine(PseudoLabeling):
    """L = FixMatch's + certainty * mean entropy of the student's predictions for the strong views.

    Options:
        certainty: weight of that term.
    """

    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    defaults = {"labeler.tau": 0.9}

    def __init__(self, setup: Setup, *, certainty: float = 0.1, **family: Any) -> None:
        super().__init__(setup, **family)
        self.certainty = certainty

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        entropy = -(out_u.p * out_u.logits.log_softmax(1)).sum(1).mean()  # ()
        return {"certainty": self.certainty * entropy}
