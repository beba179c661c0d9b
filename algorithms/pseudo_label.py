"""The student's own confident label of a view is the target of that same prediction.

Paper: Lee 2013, Pseudo-Label, ICML Workshop on Challenges in Representation Learning

With a threshold and a linear ramp from the first step, as in Google's and TorchSSL's comparisons. The paper has no
threshold (that is `--set labeler.tau=0`), and its weight stays at 0 for a while before it rises.
"""

from sslkit.algorithms.mixers.none import Identity
from sslkit.algorithms.teachers.self import Student
from sslkit.contracts import Batch, Losses, PseudoLabeler, Setup
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, frozen_stats, weighted_ce
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class PseudoLabel(PseudoLabeling):
    """L = H(y, student(x)) + lambda_u * ramp * mean_i w_i H(target_i, p_i), with labels made of p_i itself.

    The gradient goes through the prediction, not through its label. Only labelled images move BatchNorm's statistics.

    Options:
        lambda_u: weight of the unlabelled term after its ramp.
        ramp: share of the steps over which that weight rises linearly from 0.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak",)}
    multilabel = True
    slots = {"labeler": "threshold"}

    def __init__(self, setup: Setup, *, labeler: PseudoLabeler, lambda_u: float = 1.0, ramp: float = 0.4) -> None:
        super().__init__(setup, teacher=Student(setup), labeler=labeler, mixer=Identity(setup), lambda_u=lambda_u)
        if not 0 <= ramp <= 1:
            raise UserError(f"algo.ramp must be in [0, 1], got {ramp}")
        self.ramp = ramp

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        with frozen_stats(self.student):
            out_u = step.forward("student", self.student, u["weak"])  # logits (N, C)
        labels = self.labeler.label(out_u.detach(), out_x.detach(), batch, step)  # target (N, C), weight (N,)
        unlabeled = self.lambda_u * step.ramp(self.ramp) * weighted_ce(out_u.logits, labels, n=len(u.index))  # ()
        return Losses({"supervised": cross_entropy(out_x, x.y), "unlabeled": unlabeled}, labels, {"index": u.index})
