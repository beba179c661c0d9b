"""The sharpened prediction, whole, where its confidence reaches a fixed threshold.

Paper: Xie et al. 2020, Unsupervised Data Augmentation for Consistency Training, arXiv:1904.12848, section 4

It remembers nothing.
"""

from sslkit.algorithms.labelers.threshold import check
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class Sharpened(PseudoLabeler):
    """w = [max p >= tau], target = softmax(z / temperature).

    Options:
        tau: threshold in [0, 1], of the prediction before it is sharpened.
        temperature: above 0; 1 leaves the prediction as it is, towards 0 it becomes a hard label.
    """

    def __init__(self, setup: Setup, *, tau: float = 0.8, temperature: float = 0.4) -> None:
        super().__init__()
        self.tau, _ = check(tau, 0.0)
        self.temperature = check_temperature(temperature)

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        confidence = weak.p.amax(1)  # (N,)
        target = (weak.logits / self.temperature).softmax(1)  # (N, C)
        return PseudoLabels(target, (confidence >= self.tau).float(), confidence)


def check_temperature(temperature: float, key: str = "labeler.temperature") -> float:
    """The value, or UserError where it is not above 0; `key` is the name of the option."""
    if not 0 < temperature < float("inf"):
        raise UserError(f"{key} divides logits and must be above 0 and finite, got {temperature}")
    return temperature
