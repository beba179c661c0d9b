"""Labelled images only: fine-tuning, the control arm finetune+, and the upper bound at all labels.

It asks for no unlabelled image: which ones are the pool is not even in its stage's key.
"""

from sslkit.contracts import Algorithm, Batch, Losses
from sslkit.losses import cross_entropy
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class Supervised(Algorithm):
    views = {"labeled": ("weak",)}
    multilabel = True

    def forward(self, batch: Batch, step: Step) -> Losses:
        x = batch["labeled"]
        return Losses({"supervised": cross_entropy(step.forward("labeled", self.student, x["weak"]), x.y)})
