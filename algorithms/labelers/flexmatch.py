"""Threshold of its own for every class, lower while the class is learned by few images.

Paper: Zhang et al. 2021, FlexMatch, arXiv:2110.08263

It remembers a class for every image of the pool. Thresholds change after the optimizer's step, never within one.
"""

import torch
from torch import Tensor

from sslkit.algorithms.labelers._last import Learned
from sslkit.algorithms.labelers.threshold import check
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class FlexMatch(PseudoLabeler):
    """T_c = tau * beta_c / (2 - beta_c), beta_c = count_c / max count, of images once confident in class c.

    Options:
        tau: the largest threshold, and the fixed one from which an image counts as learned.
        warmup: images not yet learned count as one more class in the maximum, as published.
        smoothing: label smoothing of the target.
    """

    def __init__(self, setup: Setup, *, tau: float = 0.95, warmup: bool = True, smoothing: float = 0.0) -> None:
        super().__init__()
        self.tau, self.smoothing = check(tau, smoothing)
        self.warmup, self.classes = warmup, setup.classes
        self.learned = Learned(setup.unlabeled, setup.classes)

    def thresholds(self) -> Tensor:
        """(C,) float32, the threshold of every class now."""
        counts = self.learned.counts  # (C + 1,), the last: of none
        most = (counts if self.warmup else counts[:-1]).max().clamp_min(1)  # ()
        beta = counts[:-1] / most  # (C,)
        return self.tau * beta / (2 - beta)

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        confidence, y = weak.p.max(1)  # (N,), (N,) int64
        keep = confidence >= self.thresholds()[y]  # (N,) bool
        return PseudoLabels(one_hot(y, self.classes, self.smoothing), keep.float(), confidence)  # (N, C), (N,), (N,)

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.learned.update(index, torch.where(labels.confidence >= self.tau, labels.target.argmax(1), self.classes))
