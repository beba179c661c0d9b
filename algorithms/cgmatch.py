"""Confident images are learned as in FixMatch; those that are not, but whose labels agree over time, more gently.

Paper: Cheng et al. 2025, CGMatch: A Different Perspective of Semi-supervised Learning, arXiv:2503.02231

Which images are which is the labeler's. What a step uses is what the steps before have left.
"""

from typing import Any

from torch import Tensor

from sslkit.algorithms.labelers.cgmatch import CGMatch as Labeler
from sslkit.algorithms.mixers.none import Identity
from sslkit.algorithms.teachers.self import Student
from sslkit.contracts import Batch, Losses, PseudoLabeler, Setup
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, weighted_ce
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling

Q = 0.7  # of the generalised cross-entropy, as published


@register("algorithm")
class CGMatch(PseudoLabeling):
    """L = FixMatch's + lambda_h s^2 mean over i of ambiguous_i (G(p(weak), y) + G(p(strong), y)).

    s rises linearly from 0 after the burn-in to 1. G(p, y) = (1 - p_y^q) / q with q 0.7: between cross-entropy, q 0,
    and 1 - p_y, q 1, which a wrong label pulls less at (Zhang and Sabuncu 2018, arXiv:1805.07836). The gradient goes
    through both views.

    Options:
        lambda_h: weight of the last term at the end.
        burn_in: share of the steps, at the beginning, with labels alone; published 2,048 of 2^20 steps.
    """

    slots = {"labeler": "cgmatch"}

    def __init__(
        self,
        setup: Setup,
        *,
        labeler: PseudoLabeler,
        lambda_u: float = 1.0,
        lambda_h: float = 1.0,
        burn_in: float = 1 / 512,
    ) -> None:
        parts: dict[str, Any] = {"teacher": Student(setup), "labeler": labeler, "mixer": Identity(setup)}
        super().__init__(setup, **parts, lambda_u=lambda_u, burn_in=burn_in)
        if not isinstance(labeler, Labeler):
            raise UserError("cgmatch's term for ambiguous images needs the count gaps of --labeler cgmatch")
        if lambda_h < 0:
            raise UserError(f"algo.lambda_h must be 0 or more, got {lambda_h}")
        self.lambda_h = lambda_h

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        weak = step.forward("teacher", self.student, u["weak"])  # logits (N, C), with gradient
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        labels = self.labeler.label(weak.detach(), out_x.detach(), batch, step)  # target (N, C), weight (N,)
        out_u = step.forward("student", self.student, u["strong"])  # logits (N, C)
        unlabeled = self.strength(step) * weighted_ce(out_u.logits, labels, n=len(u.index))  # ()
        gentle = robust(weak.logits, labels.target) + robust(out_u.logits, labels.target)  # (N,)
        ambiguous = self.late(step) * (labels.memory["ambiguous"] * gentle).mean()  # ()
        terms = {"supervised": cross_entropy(out_x, x.y), "unlabeled": unlabeled, "ambiguous": ambiguous}
        return Losses(terms, labels, {"index": u.index})

    def late(self, step: Step) -> float:
        """The weight of the last term."""
        begun = self.burn_in * step.total
        done = max(0.0, (step.index - begun) / (step.total - begun)) if self.burn_in < 1 else 0.0
        return self.lambda_h * done**2


def robust(logits: Tensor, target: Tensor) -> Tensor:
    """(N,) G of logits and one-hot targets (N, C)."""
    log_p = (target * logits.log_softmax(1)).sum(1)  # (N,)
    return (1 - (Q * log_p).exp()) / Q
