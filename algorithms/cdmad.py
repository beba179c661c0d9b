"""FixMatch less what the network predicts for an image without content, in pseudo-labels and at test time.

Paper: Lee and Kim 2024, CDMAD: Class-Distribution-Mismatch-Aware Debiasing, CVPR, arXiv:2403.10391

The image without content is seen in evaluation mode; the authors' code sees it in training mode, where BatchNorm takes
the statistics of this one image.
"""

import torch
from torch import Tensor

from sslkit.algorithms.teachers.self import Student
from sslkit.contracts import Algorithm, Batch, Losses, Setup
from sslkit.errors import UserError
from sslkit.losses import all_kept, cross_entropy, weighted_ce
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class CDMAD(Algorithm):
    """L = H(y, p(x)) + lambda_u (mean H(q, p(strong)) + mean H(q, p(strong2))) / 2, q = softmax(z(weak) - z(o)).

    o is an image whose normalised pixels all are 1. At test time it is z(x) - z(o), too. Labels are soft and nothing is
    rejected.

    Options:
        lambda_u: weight of the unlabelled term.
        wait: share of the steps before z(o) is taken off pseudo-labels. Published: 101 of 500 epochs.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "strong", "strong2")}

    def __init__(self, setup: Setup, *, lambda_u: float = 1.0, wait: float = 0.2) -> None:
        super().__init__(setup)
        if lambda_u < 0 or not 0 <= wait <= 1:
            raise UserError(f"algo.lambda_u must be 0 or more and algo.wait in [0, 1], got {lambda_u} and {wait}")
        self.teacher, self.lambda_u, self.wait = Student(setup), lambda_u, wait

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        z = self.teacher.predict(self.student, u["weak"], step).logits  # (N, C)
        if step.index >= self.wait * step.total:
            self.student.eval()
            with torch.no_grad():
                z = z - empty(self.student, u["weak"])
            self.student.train()
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        labels = all_kept(z.softmax(1))  # target (N, C), weight (N,)
        first = step.forward("student", self.student, u["strong"])  # logits (N, C)
        second = step.forward("student 2", self.student, u["strong2"])  # logits (N, C)
        n = 2 * len(u.index)
        both = weighted_ce(first.logits, labels, n) + weighted_ce(second.logits, labels, n)  # ()
        terms = {"supervised": cross_entropy(out_x, x.y), "unlabeled": self.lambda_u * both}
        return Losses(terms, labels)

    def predict(self, network: Classifier, images: Tensor) -> Tensor:
        return network(images).logits - empty(network, images)


def empty(network: Classifier, images: Tensor) -> Tensor:
    """(1, C) logits of an image of ones, of the size of `images`."""
    return network(torch.ones_like(images[:1])).logits
