"""The student's prediction for one weak view follows the averaged student's prediction for another.

Paper: Tarvainen and Valpola 2017, Mean teachers, arXiv:1703.01780

It has no labeler, so no image is rejected, and it writes its own step, in which only labelled images move BatchNorm's
statistics.
"""

from collections.abc import Sequence

import torch.nn.functional as F

from sslkit.contracts import Algorithm, Batch, Losses, Setup, Teacher
from sslkit.errors import UserError
from sslkit.losses import all_kept, cross_entropy, frozen_stats
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class MeanTeacher(Algorithm):
    """L = H(y, student(x)) + weight * ramp * mean over images and classes of (p_student - p_teacher)^2.

    Options:
        weight: of the consistency term after its ramp.
        ramp: share of the steps over which the weight rises linearly from 0.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "weak2")}
    multilabel = True
    slots = {"teacher": "ema"}
    defaults = {"teacher.mode": "train"}

    def __init__(self, setup: Setup, *, teacher: Teacher, weight: float = 50.0, ramp: float = 0.4) -> None:
        super().__init__(setup)
        if weight < 0 or not 0 <= ramp <= 1:
            raise UserError(f"algo.weight must be 0 or more and algo.ramp in [0, 1], got {weight} and {ramp}")
        self.teacher, self.weight, self.ramp = teacher, weight, ramp

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        with frozen_stats(self.student):  # only labelled images move BatchNorm's statistics
            target = self.teacher.predict(self.student, u["weak"], step).p  # (N, C)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        with frozen_stats(self.student):
            p = step.forward("student", self.student, u["weak2"]).p  # (N, C)
        consistency = self.weight * step.ramp(self.ramp) * F.mse_loss(p, target)  # ()
        labels = all_kept(target)
        return Losses({"supervised": cross_entropy(out_x, x.y), "consistency": consistency}, labels)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        self.teacher.update(self.student, step)

    def networks(self) -> dict[str, Classifier]:
        return {"student": self.student, **self.teacher.networks()}
