"""FixMatch with a second head that learns from labelled images alone; both heads vote at test time."""

from typing import Any

from torch import nn

from sslkit import register
from sslkit.losses import one_hot
from sslkit.step import PseudoLabeling


@register("algorithm")
class TwoHeads(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}

    def __init__(self, setup, *, weight: float = 1.0, **family: Any):
        super().__init__(setup, **family)
        self.weight, self.classes = weight, setup.classes
        self.second = nn.Linear(setup.student.feature_dim, setup.classes)

    def extra(self, out_x, weak, out_u, labels, batch, step):
        y = batch["labeled"].y
        target = one_hot(y, self.classes) if y.ndim == 1 else y  # (B, C)
        log_p = self.second(out_x.features).log_softmax(1)  # (B, C)
        return {"second": -self.weight * (target * log_p).sum(1).mean()}

    def predict(self, network, images):
        output = network(images)
        return (output.logits + self.second(output.features)) / 2
