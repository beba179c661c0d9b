"""An image counts by the information that its prediction has over a uniform one."""

import math

from sslkit import register
from sslkit.contracts import PseudoLabeler, PseudoLabels
from sslkit.losses import one_hot


@register("labeler")
class Informative(PseudoLabeler):
    def __init__(self, setup, *, least: float = 0.5):
        super().__init__()
        self.least, self.classes = least, setup.classes

    def label(self, weak, labeled, batch, step):
        p = weak.p
        entropy = -(p * weak.logits.log_softmax(1)).sum(1) / math.log(2)  # (N,) bits
        information = (math.log2(self.classes) - entropy).clamp_min(0)
        return PseudoLabels(one_hot(p.argmax(1), self.classes), (information >= self.least).float(), information)
