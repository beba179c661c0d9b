"""Two heads, of which one learns from corrected labels; how far the other's are depends on the pool's classes.

Paper: Wei and Gan 2023, Towards Realistic Long-Tailed Semi-Supervised Learning, CVPR

Every kept image counts in the estimate; the authors' code counts each class at most once a step. The pool may be as the
labels, even or reversed; reversed is by rank: the class with most labels has the share of the one with fewest.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.algorithms.labelers._shares import label_shares, log
from sslkit.algorithms.teachers.self import Student
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, gather, one_hot, weighted_ce
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register

PERIODS = 500  # of a run; the correction is set anew after each


@register("algorithm")
class ACR(Algorithm):
    """L = H(y, z) + lambda_u mean w H(ŷ, z_s) + H(y, z' + s ln pi) + lambda_u mean w' H(ŷ', z'_s), strong views two.

    z is of the network's head, z' of the second one, which classifies; pi are the shares of classes among the labels.
    ŷ is the class of p = softmax(z_w - c ln pi), kept where it or softmax(z_w) is sure; ŷ' that of softmax(z_w - s ln
    pi), kept where it or softmax(z'_w) is. c = s e^a / (e^a + e^b + e^d), with the mean divergences a, b and d of the
    second head's sure predictions from pi, from even and from reversed shares; it is s until there are such means.

    Options:
        lambda_u: weight of the unlabelled terms.
        tau: probability from which a prediction is sure.
        strength: s.
        momentum: of the running shares of the second head's sure predictions, a step.
        wait: share of the steps before divergences are measured. Published: 6 of 500 epochs.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "strong", "strong2")}
    decides = "balanced"
    goals: Tensor  # (3, C) shares of classes: as the labels, even, reversed
    found: Tensor  # (C,) running shares of sure predictions
    apart: Tensor  # (3,) sum of the divergences of this period
    correction: Tensor  # () c

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {"balanced": nn.Linear(features, classes)}

    def __init__(
        self,
        setup: Setup,
        *,
        lambda_u: float = 1.0,
        tau: float = 0.95,
        strength: float = 2.0,
        momentum: float = 0.9,
        wait: float = 0.012,
    ) -> None:
        super().__init__(setup)
        if lambda_u < 0 or strength < 0:
            raise UserError(f"algo.lambda_u and algo.strength must be 0 or more, got {lambda_u} and {strength}")
        if not 0 <= tau <= 1 or not 0 <= momentum < 1 or not 0 <= wait <= 1:
            raise UserError(
                f"algo.tau and algo.wait must be in [0, 1], algo.momentum in [0, 1), got {tau}, {wait} and {momentum}"
            )
        self.lambda_u, self.tau, self.strength, self.momentum = lambda_u, tau, strength, momentum
        self.teacher, self.period = Student(setup), max(1, round(setup.steps / PERIODS))
        self.first = -(-round(wait * setup.steps) // self.period) * self.period  # a period is measured whole
        labels = label_shares(setup)
        order = labels.argsort(descending=True, stable=True)  # (C,) int64
        backwards = torch.zeros_like(labels).scatter_(0, order, labels[order.flip(0)])  # (C,)
        even = torch.full_like(labels, 1 / setup.classes)
        self.register_buffer("goals", torch.stack([labels, even, backwards]))
        self.register_buffer("found", even)
        self.register_buffer("apart", torch.zeros(3))
        self.register_buffer("correction", torch.tensor(strength))

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        weak = self.teacher.predict(self.student, u["weak"], step)  # logits (N, C)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        strong = [
            step.forward("student", self.student, u["strong"]),
            step.forward("student 2", self.student, u["strong2"]),
        ]  # logits (N, C)
        head, prior = self.student.added["balanced"], log(self.goals[0])  # (C,)
        with torch.no_grad():
            second = Output(head(weak.features), weak.features)  # logits (N, C)
        labels = self._labels(weak.logits - self.correction * prior, weak)
        balanced = self._labels(weak.logits - self.strength * prior, second)
        n = len(u.index)
        first_u = torch.stack([weighted_ce(out.logits, labels, n) for out in strong]).mean()  # ()
        second_u = torch.stack([weighted_ce(head(out.features), balanced, n) for out in strong]).mean()  # ()
        terms = {
            "supervised": cross_entropy(out_x, x.y),
            "unlabeled": self.lambda_u * first_u,
            "balanced": F.cross_entropy(head(out_x.features) + self.strength * prior, x.y),
            "balanced_unlabeled": self.lambda_u * second_u,
        }
        confidence, y = second.p.max(1)  # (N,), (N,) int64
        sure = one_hot(y, len(prior)) * (confidence >= self.tau)[:, None]  # (N, C)
        return Losses(terms, balanced, {"sure": sure.sum(0)})

    def _labels(self, logits: Tensor, other: Output) -> PseudoLabels:
        """Hard labels of logits (N, C), kept where these or the other output are sure."""
        confidence, y = logits.softmax(1).max(1)  # (N,), (N,) int64
        kept = (confidence >= self.tau) | (other.p.amax(1) >= self.tau)  # (N,)
        return PseudoLabels(one_hot(y, logits.shape[1]), kept.float(), confidence)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        if step.index < self.first:
            return
        sure = gather(torch.stack([loss.memory["sure"] for loss in losses])).sum(0).to(self.found)  # (C,)
        moved = torch.lerp(sure / sure.sum().clamp_min(1), self.found, self.momentum)  # (C,)
        self.found.copy_(torch.where(sure.sum() > 0, moved, self.found))
        self.apart += divergence(self.found, self.goals)
        if (step.index + 1) % self.period == 0:
            self.correction.copy_(self.strength * (self.apart / self.period).softmax(0)[0])
            self.apart.zero_()


def divergence(found: Tensor, goals: Tensor) -> Tensor:
    """(G,) symmetric Kullback-Leibler divergences (KL(p || q) + KL(q || p)) / 2 of shares (C,) from goals (G, C)."""
    return ((found - goals) * (log(found) - log(goals))).sum(1) / 2
