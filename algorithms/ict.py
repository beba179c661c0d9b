"""The prediction for a mixture of two images should be the mixture of the averaged student's predictions.

Paper: Verma et al. 2019, Interpolation Consistency Training, arXiv:1903.03825

Weight, ramp and ratios are those of Google's comparison (a ratio for each image, the larger share to the anchor, by the
mixer `mixup`). The authors' code has weight 100, a sigmoid ramp, one ratio a batch from Beta(1, 1) for CIFAR-10, mixes
labelled images as well, and mixes the teacher's logits; here it is probabilities, as the paper has it.
"""

from collections.abc import Sequence

from sslkit.contracts import Algorithm, Batch, Losses, Mixer, Setup, Teacher
from sslkit.errors import UserError
from sslkit.losses import all_kept, cross_entropy, frozen_stats
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class ICT(Algorithm):
    """L = H(y, student(x)) + weight * ramp * mean over images and classes of (p_student(mix(u)) - mix(p_teacher(u)))^2.

    Only labelled images move BatchNorm's statistics.

    Options:
        weight: of the consistency term after its ramp.
        ramp: share of the steps over which the weight rises linearly from 0.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak",)}
    slots = {"teacher": "ema", "mixer": "mixup"}
    defaults = {"teacher.mode": "train"}

    def __init__(
        self, setup: Setup, *, teacher: Teacher, mixer: Mixer, weight: float = 50.0, ramp: float = 0.4
    ) -> None:
        super().__init__(setup)
        if weight < 0 or not 0 <= ramp <= 1:
            raise UserError(f"algo.weight must be 0 or more and algo.ramp in [0, 1], got {weight} and {ramp}")
        self.teacher, self.mixer, self.weight, self.ramp = teacher, mixer, weight, ramp

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        with frozen_stats(self.student):  # only labelled images move BatchNorm's statistics
            target = self.teacher.predict(self.student, u["weak"], step).p  # (N, C)
        labels = all_kept(target)
        mixed = self.mixer.mix(u["weak"], labels, step)  # images (M, 3, H, W), target (M, C), weight (M,)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        with frozen_stats(self.student):
            p = step.forward("student", self.student, mixed.images).p  # (M, C)
        squares = (p - mixed.labels.target).square().mean(1)  # (M,)
        consistency = self.weight * step.ramp(self.ramp) * (mixed.labels.weight * squares).sum() / len(target)  # ()
        return Losses({"supervised": cross_entropy(out_x, x.y), "consistency": consistency}, labels)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        self.teacher.update(self.student, step)

    def networks(self) -> dict[str, Classifier]:
        return {"student": self.student, **self.teacher.networks()}
