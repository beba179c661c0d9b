"""Sharpened predictions of the averaged student are the targets of mixed strong views."""

from sslkit import register
from sslkit.contracts import Algorithm, Losses
from sslkit.losses import all_kept, cross_entropy, weighted_ce


@register("algorithm")
class MixedTargets(Algorithm):
    slots = {"teacher": "ema", "mixer": "mixup"}

    def __init__(self, setup, *, teacher, mixer, weight: float = 1.0, temperature: float = 0.5):
        super().__init__(setup)
        self.teacher, self.mixer = teacher, mixer
        self.weight, self.temperature = weight, temperature

    def forward(self, batch, step):
        x, u = batch["labeled"], batch["unlabeled"]
        weak = self.teacher.predict(self.student, u["weak"], step)
        labels = all_kept((weak.logits / self.temperature).softmax(1))
        mixed = self.mixer.mix(u["strong"], labels, step)
        out = step.forward("labeled", self.student, x["weak"])
        out_u = step.forward("student", self.student, mixed.images)
        unlabeled = self.weight * step.ramp(0.1) * weighted_ce(out_u.logits, mixed.labels, n=len(u.index))
        return Losses({"supervised": cross_entropy(out, x.y), "unlabeled": unlabeled}, mixed.labels)

    def after_step(self, losses, step):
        self.teacher.update(self.student, step)

    def networks(self):
        return {"student": self.student, **self.teacher.networks()}
