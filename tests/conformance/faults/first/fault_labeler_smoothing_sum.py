"""Hard labels with smoothing, where the confidence reaches a threshold."""

from sslkit import register
from sslkit.contracts import PseudoLabeler, PseudoLabels
from sslkit.losses import one_hot


@register("labeler")
class Smoothed(PseudoLabeler):
    def __init__(self, setup, *, tau: float = 0.8, smoothing: float = 0.1):
        super().__init__()
        self.tau, self.smoothing, self.classes = tau, smoothing, setup.classes

    def label(self, weak, labeled, batch, step):
        confidence, y = weak.p.max(1)
        target = one_hot(y, self.classes) + self.smoothing / self.classes
        return PseudoLabels(target, (confidence >= self.tau).float(), confidence)
