"""Labels and losses corrected by estimates of how often each class is, in the pool and in all that is learned from.

Paper: Du et al. 2024, SimPro: A Simple Probabilistic Framework, ICML, arXiv:2402.13505
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.algorithms.labelers._shares import label_shares, log
from sslkit.algorithms.teachers.self import Student
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import gather, one_hot, weighted_ce
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class SimPro(Algorithm):
    """L = r mean H(y, z + s ln a) + mean w H(q, z_s + s ln a), q = softmax(z_w + s ln u), w = [max q >= tau].

    The first mean is over a weak and a strong view of each labelled image, the second over two strong views. r is the
    number of passes over the pool in one over the labelled images: as published, large pools make labels count less.
    u, the pool's shares of classes, begins even, and a, those of all images, as the labels'. After each round they move
    towards the shares found in it: of kept q, and of kept q with the labels seen. At test time it is z.

    Options:
        lambda_u: weight of the unlabelled term.
        tau: threshold of labels.
        strength: s. Published: 2 with 10 classes.
        momentum: of both estimates, a round.
        rounds: of a run, of a pass over the pool each at least: what few images were kept is no share of anything.
            Published: 86, of 500 steps.
    """

    views = {"labeled": ("weak", "strong"), "unlabeled": ("weak", "strong", "strong2")}
    pool: Tensor  # (C,) u
    seen: Tensor  # (C,) a
    kept: Tensor  # (C,) sum of kept labels of this round
    given: Tensor  # (C,) labelled images of this round

    def __init__(
        self,
        setup: Setup,
        *,
        lambda_u: float = 1.0,
        tau: float = 0.95,
        strength: float = 2.0,
        momentum: float = 0.9,
        rounds: int = 86,
    ) -> None:
        super().__init__(setup)
        if lambda_u < 0 or strength < 0:
            raise UserError(f"algo.lambda_u and algo.strength must be 0 or more, got {lambda_u} and {strength}")
        if not 0 <= tau <= 1 or not 0 <= momentum < 1:
            raise UserError(f"algo.tau must be in [0, 1] and algo.momentum in [0, 1), got {tau} and {momentum}")
        if rounds < 1:
            raise UserError(f"algo.rounds must be 1 or more, got {rounds}")
        self.lambda_u, self.tau, self.strength, self.momentum = lambda_u, tau, strength, momentum
        self.teacher, self.period = Student(setup), max(1, round(setup.steps / rounds))
        self.images = setup.labeled, setup.unlabeled
        self.register_buffer("pool", torch.full((setup.classes,), 1 / setup.classes))
        self.register_buffer("seen", label_shares(setup))
        self.register_buffer("kept", torch.zeros(setup.classes))
        self.register_buffer("given", torch.zeros(setup.classes))

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        weak = self.teacher.predict(self.student, u["weak"], step)  # logits (N, C)
        out_x = [
            step.forward("labeled", self.student, x["weak"]),
            step.forward("labeled 2", self.student, x["strong"]),
        ]  # logits (B, C)
        strong = [
            step.forward("student", self.student, u["strong"]),
            step.forward("student 2", self.student, u["strong2"]),
        ]  # logits (N, C)
        labels = self.label(weak)  # target (N, C), weight (N,)
        offset, n = self.strength * log(self.seen), len(u.index)  # (C,)
        supervised = torch.stack([F.cross_entropy(out.logits + offset, x.y) for out in out_x]).mean()  # ()
        unlabeled = torch.stack([weighted_ce(out.logits + offset, labels, n) for out in strong]).mean()  # ()
        passes = (n / self.images[1]) / (len(x.index) / self.images[0])
        terms = {"supervised": passes * supervised, "unlabeled": self.lambda_u * unlabeled}
        assert x.label is not None
        kept = (labels.weight[:, None] * labels.target).sum(0)  # (C,)
        return Losses(terms, labels, {"kept": kept, "given": one_hot(x.label, len(offset)).sum(0), "index": u.index})

    def label(self, weak: Output) -> PseudoLabels:
        """Soft labels for the weak views' outputs (N, C)."""
        q = (weak.logits + self.strength * log(self.pool)).softmax(1)  # (N, C)
        confidence = q.amax(1)  # (N,)
        return PseudoLabels(q, (confidence >= self.tau).float(), confidence)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        self.kept += gather(torch.stack([loss.memory["kept"] for loss in losses])).sum(0)
        self.given += gather(torch.stack([loss.memory["given"] for loss in losses])).sum(0)
        images = len(gather(torch.cat([loss.memory["index"] for loss in losses])))  # of the global batch
        if (step.index + 1) % max(self.period, -(-self.images[1] // images)) == 0:
            for shares, counts in ((self.pool, self.kept), (self.seen, self.kept + self.given)):
                found = counts / counts.sum().clamp_min(1e-9)  # (C,)
                shares.copy_(torch.where(counts.sum() > 0, torch.lerp(found, shares, self.momentum), shares))
            self.kept.zero_()
            self.given.zero_()
