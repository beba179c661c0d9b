"""The aligned prediction, where it is nearly as confident as the labelled images are.

Paper: Berthelot et al. 2022, AdaMatch, arXiv:2106.04732, sections 3.2 and 3.3

It remembers the mean predictions for labelled and unlabelled images.
"""

from typing import Literal

from torch import Tensor

from sslkit.algorithms.labelers._running import Alignment, momentum_of
from sslkit.algorithms.labelers.threshold import check
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class AdaMatch(PseudoLabeler):
    """w = [max q >= tau mean_L max p(x)], q = p aligned, target = one-hot of argmax q.

    Options:
        tau: share of the labelled images' mean confidence.
        align: what the mean prediction is moved to: "model", that for labelled images; "prior", the shares of classes
            among the labels; "uniform".
        momentum: of the running means; None is `eval.decay`. Published: 0.999, for a million steps.
        smoothing: label smoothing of the target.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        tau: float = 0.9,
        align: Literal["model", "prior", "uniform"] = "model",
        momentum: float | None = None,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.tau, self.smoothing = check(tau, smoothing)
        self.classes, self.align = setup.classes, Alignment(setup, align, momentum_of(momentum, setup))

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        confidence, y = self.align(weak.p).max(1)  # (N,), (N,) int64
        weight = (confidence >= self.tau * labeled.p.amax(1).mean()).float()  # (N,)
        target = one_hot(y, self.classes, self.smoothing)  # (N, C)
        return PseudoLabels(target, weight, confidence, {"p": weak.p, "labeled": labeled.p})

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.align.update(labels.memory["p"], labels.memory["labeled"], step)
