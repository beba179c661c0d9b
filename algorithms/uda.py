"""The sharpened prediction for the weak view is the target of the strong one; labelled images may come in bit by bit.

Paper: Xie et al. 2020, Unsupervised Data Augmentation for Consistency Training, arXiv:1904.12848

Targets and their threshold are the labeler's.
"""

import math
from typing import Any, Literal

from torch import Tensor

from sslkit.contracts import Setup
from sslkit.losses import as_target, cross_entropies
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class UDA(PseudoLabeling):
    """Training signal annealing: L_s is the mean over labelled images whose p(y) is at most eta = a (1 - 1/C) + 1/C.

    a is 1 with "none", else of t, the share of the steps: "linear" t, "exp" e^{5 (t - 1)}, "log" 1 - e^{-5 t}. As in
    Google's code the probability is that of the label, and the mean is over the images that count.

    Options:
        annealing: how labelled images come in.
    """

    slots = {"teacher": "self", "labeler": "sharpened", "mixer": "none"}

    def __init__(
        self, setup: Setup, *, annealing: Literal["none", "linear", "exp", "log"] = "none", **family: Any
    ) -> None:
        super().__init__(setup, **family)
        self.annealing = annealing

    def supervised(self, out: Output, y: Tensor, step: Step) -> Tensor:
        classes = out.logits.shape[1]
        target = as_target(y, classes)  # (B, C)
        loss = cross_entropies(target, out.logits)  # (B,)
        known = (target * out.p).sum(1)  # (B,)
        counts = (known <= self.limit(step, classes)).float()  # (B,)
        return (counts * loss).sum() / counts.sum().clamp_min(1)

    def limit(self, step: Step, classes: int) -> float:
        """The largest probability of its label with which an image still counts."""
        t = step.index / step.total
        a = {"none": math.inf, "linear": t, "exp": math.exp(5 * (t - 1)), "log": 1 - math.exp(-5 * t)}[self.annealing]
        return a * (1 - 1 / classes) + 1 / classes
