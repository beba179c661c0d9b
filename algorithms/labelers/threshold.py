"""Hard label where the confidence reaches a fixed threshold.

Paper: Sohn et al. 2020, FixMatch, arXiv:2001.07685, eq. 4

It remembers nothing.
"""

import torch

from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import each_class, one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class Threshold(PseudoLabeler):
    """w = [max p >= tau], target = one-hot of argmax p.

    Of images with several labels each class by itself: w_c = [max(p_c, 1 - p_c) >= tau], target_c = [p_c >= 1/2].

    Options:
        tau: threshold in [0, 1].
        smoothing: label smoothing of the target (Semi-ViT: 0.1 when it mixes).
    """

    multilabel = True

    def __init__(self, setup: Setup, *, tau: float = 0.95, smoothing: float = 0.0) -> None:
        super().__init__()
        self.tau, self.smoothing = check(tau, smoothing)

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        if weak.multilabel:
            sure = torch.maximum(weak.p, 1 - weak.p)  # (N, C)
            target = each_class(weak.p >= 0.5, self.smoothing)  # (N, C)
            return PseudoLabels(target, (sure >= self.tau).float(), sure.mean(1))  # weight (N, C)
        confidence, y = weak.p.max(1)  # (N,), (N,) int64
        target = one_hot(y, weak.logits.shape[1], self.smoothing)  # (N, C)
        return PseudoLabels(target, (confidence >= self.tau).float(), confidence)  # weight (N,)


def check(tau: float, smoothing: float) -> tuple[float, float]:
    """Both values, or UserError where one is out of range."""
    if not 0 <= tau <= 1:
        raise UserError(f"labeler.tau is a confidence and must be in [0, 1], got {tau}")
    if not 0 <= smoothing < 1:
        raise UserError(f"labeler.smoothing must be in [0, 1), got {smoothing}")
    return tau, smoothing
