"""FixMatch less what the network predicts for an image without content, in pseudo-labels and at test time.

Paper: Lee and Kim 2024, CDMAD: Class-Distribution-Mismatch-Aware Debiasing, CVPR, arXiv:2403.10391

The image without content is seen in evaluation mode; the authors' code sees it in training mode, where BatchNorm takes
the statistics of this one image.
"""

import torch
from torch import Tensor

from sslkit.algorithms.mixers.none import Identity
from sslkit.algorithms.teachers.self import Student
from sslkit.contracts import Batch, Losses, PseudoLabeler, Setup
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, weighted_ce
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class CDMAD(PseudoLabeling):
    """L = H(y, p(x)) + lambda_u (mean w H(q, p(strong)) + mean w H(q, p(strong2))) / 2, q of z(weak) - z(o).

    o is an image whose normalised pixels all are 1. At test time it is z(x) - z(o), too. Labels are soft and nothing is
    rejected, as published, unless the labeler is told otherwise.

    Options:
        lambda_u: weight of the unlabelled term.
        wait: share of the steps before z(o) is taken off pseudo-labels. Published: 101 of 500 epochs.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "strong", "strong2")}
    slots = {"labeler": "sharpened"}
    defaults = {"labeler.tau": 0.0, "labeler.temperature": 1.0}

    def __init__(self, setup: Setup, *, labeler: PseudoLabeler, lambda_u: float = 1.0, wait: float = 0.2) -> None:
        super().__init__(setup, teacher=Student(setup), labeler=labeler, mixer=Identity(setup), lambda_u=lambda_u)
        if not 0 <= wait <= 1:
            raise UserError(f"algo.wait must be in [0, 1], got {wait}")
        self.wait = wait

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        weak = self.teacher.predict(self.student, u["weak"], step)  # logits (N, C)
        if step.index >= self.wait * step.total:
            self.student.eval()
            with torch.no_grad():
                weak = Output(weak.logits - empty(self.student, u["weak"]), weak.features)
            self.student.train()
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        labels = self.labeler.label(weak, out_x.detach(), batch, step)  # target (N, C), weight (N,)
        first = step.forward("student", self.student, u["strong"])  # logits (N, C)
        second = step.forward("student 2", self.student, u["strong2"])  # logits (N, C)
        n = 2 * len(u.index)
        both = weighted_ce(first.logits, labels, n) + weighted_ce(second.logits, labels, n)  # ()
        terms = {"supervised": cross_entropy(out_x, x.y), "unlabeled": self.lambda_u * both}
        return Losses(terms, labels, {"index": u.index})

    def predict(self, network: Classifier, images: Tensor) -> Tensor:
        return network(images).logits - empty(network, images)


def empty(network: Classifier, images: Tensor) -> Tensor:
    """(1, C) logits of an image of ones, of the size of `images`."""
    return network(torch.ones_like(images[:1])).logits
