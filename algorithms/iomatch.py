"""FixMatch on images that are rather not outliers, and a head that has one more class, for those that are.

Paper: Li et al. 2023, IOMatch: Simplifying Open-Set SSL with Joint Inliers and Outliers Utilization, arXiv:2308.13168

The pool may have classes without a label. The alignment moves after the step; published code counts the step's own
batch. Published with WRN-28-2, mu 7, one joint forward, as here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sslkit.algorithms._heads import projector
from sslkit.algorithms._one_vs_all import OneVsAll, one_vs_all
from sslkit.algorithms.labelers._running import Recent
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import as_target, cross_entropy, gather, joint_forward, weighted_ce
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register

DIM = 128  # of the projected features


@register("algorithm")
class IOMatch(Algorithm):
    """L = H(y, p(x)) + L_ova + lambda_u mean k H(a, p(strong)) + lambda_open mean [max q >= tau_open] H(q, r(strong)).

    a is the aligned prediction for the weak view, o_c the probability of a detector for each class c that this view is
    of it, and r of a head for C + 1 classes; detectors and r see features through a projector of two layers. L_ova =
    mean of -log o_y + max_{c not y} -log(1 - o_c), of labelled images.

        q = (a_1 o_1, …, a_C o_C, s),  s = sum_c a_c (1 - o_c),  k = [s < 1/2] [max a >= tau]

    Options:
        lambda_u, lambda_open: weights of both unlabelled terms.
        tau, tau_open: thresholds of a and of q, in [0, 1].
        queue: batches whose predictions are aligned with.
        wait: share of the steps without the last term. Published: the first of 256 epochs.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "strong")}

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {
            "projector": projector(features, DIM),
            "ova": OneVsAll(DIM, classes),
            "open": nn.Linear(DIM, classes + 1),
        }

    def __init__(
        self,
        setup: Setup,
        *,
        lambda_u: float = 1.0,
        lambda_open: float = 1.0,
        tau: float = 0.95,
        tau_open: float = 0.5,
        queue: int = 128,
        wait: float = 1 / 256,
    ) -> None:
        super().__init__(setup)
        if lambda_u < 0 or lambda_open < 0:
            raise UserError(f"algo.lambda_u and algo.lambda_open must be 0 or more, got {lambda_u} and {lambda_open}")
        for name, value in (("tau", tau), ("tau_open", tau_open), ("wait", wait)):
            if not 0 <= value <= 1:
                raise UserError(f"algo.{name} must be in [0, 1], got {value}")
        if queue < 1:
            raise UserError(f"algo.queue must be 1 or more, got {queue}")
        self.lambda_u, self.lambda_open, self.tau, self.tau_open = lambda_u, lambda_open, tau, tau_open
        self.wait, self.classes, self.align = wait, setup.classes, Recent(setup, queue)

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        n, added = len(u.index), self.student.added
        views = x["weak"], u["weak"], u["strong"]
        out_x, weak, strong = joint_forward("student", self.student, step, *views)  # logits (B, C), (N, C), (N, C)
        target = as_target(x.y, self.classes)  # (B, C)
        with torch.autocast(u.index.device.type, enabled=False):
            own = one_vs_all(added["ova"](added["projector"](out_x.features)), target)  # ()
            opened = added["open"](added["projector"](strong.features))  # (N, C + 1)
            with torch.no_grad():
                a = self.align(weak.p)  # (N, C)
                q = opened_up(a, added["ova"](added["projector"](weak.features)))  # (N, C + 1)
        confidence, sure = a.amax(1), q.amax(1)  # (N,) each
        inside = (q[:, -1] < 0.5) & (confidence >= self.tau)  # (N,) bool
        labels = PseudoLabels(a, inside.to(a), confidence)
        open_labels = PseudoLabels(q, (sure >= self.tau_open).to(q), sure)
        strength = self.lambda_open * (step.index >= self.wait * step.total)
        terms = {
            "supervised": cross_entropy(out_x, x.y),
            "ova": own,
            "unlabeled": self.lambda_u * weighted_ce(strong.logits, labels, n=n),
            "open": strength * weighted_ce(opened, open_labels, n=n),
        }
        return Losses(terms, labels, {"p": weak.p.detach()})

    def open_set(self, network: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
        """The score is s of p as it is; the class is the likeliest by r, the last one of which is none."""
        out, added = network(images), network.added
        projected = added["projector"](out.features)
        return opened_up(out.p, added["ova"](projected))[:, -1], added["open"](projected).argmax(1)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        self.align.update(gather(torch.cat([loss.memory["p"] for loss in losses])), step)


def opened_up(a: Tensor, d: Tensor) -> Tensor:
    """q (N, C + 1) of predictions a (N, C) and what the detectors say, d (N, C)."""
    return torch.cat([a * d.sigmoid(), (a * (-d).sigmoid()).sum(1, keepdim=True)], 1)
