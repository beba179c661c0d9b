"""Labels are smoothed over a memory of alike images; images with alike labels are drawn together by their features.

Paper: Li, Xiong and Hoi 2021, CoMatch, arXiv:2011.11183

As in the authors' code for small images: no averaged teacher, and predictions aligned with the last 32 batches. The
memory is written, and the alignment moved, after the step. It smooths as soon as it is full; in the authors' code that
is after five steps, in USB after 1024.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.algorithms._bank import Bank
from sslkit.algorithms._heads import projector
from sslkit.algorithms.labelers._running import Recent
from sslkit.algorithms.mixmatch import labels_of
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup, Teacher
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, gather, joint_forward, weighted_ce
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register

BATCHES = 32  # whose predictions are aligned with


@register("algorithm")
class CoMatch(Algorithm):
    """L = H(y, p(x)) + lambda_u / N sum_i w_i H(q_i, p(strong_i)) + lambda_c / N sum_ij G_ij -log S_ij.

    With f the projected features, of length 1, a_i the aligned prediction for weak view i, and (F_k, P_k) the memory:

        q_i = alpha a_i + (1 - alpha) sum_k softmax_k(f_i . F_k / temperature) P_k,  w_i = [max q_i >= tau]
        G_ij = q_i . q_j, 1 where i = j, 0 below `graph`; rows are brought to the sum 1
        S_ij = softmax_j(f(strong_i) . f(strong2_j) / temperature)

    The gradient reaches both strong views. The memory gets (f, a) of weak views and (f, y) of labelled ones, the oldest
    rows are forgotten. The projector is two linear layers, D to D to `dim`, with ReLU.

    Options:
        lambda_u, lambda_c: weights of the unlabelled and of the contrastive term.
        tau: threshold of q in [0, 1].
        alpha: share of the image's own prediction in q.
        temperature: of both softmaxes over similarities, above 0.
        graph: least similarity of labels in [0, 1] that draws two images together.
        bank: rows of the memory; published: those of five steps, 5 (mu + 1) B.
        dim: of the projected features.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "strong", "strong2")}
    slots = {"teacher": "self"}

    def __init__(
        self,
        setup: Setup,
        *,
        teacher: Teacher,
        lambda_u: float = 1.0,
        lambda_c: float = 1.0,
        tau: float = 0.95,
        alpha: float = 0.9,
        temperature: float = 0.2,
        graph: float = 0.8,
        bank: int = 2560,
        dim: int = 64,
    ) -> None:
        super().__init__(setup)
        if lambda_u < 0 or lambda_c < 0:
            raise UserError(f"algo.lambda_u and algo.lambda_c must be 0 or more, got {lambda_u} and {lambda_c}")
        for name, value in (("tau", tau), ("alpha", alpha), ("graph", graph)):
            if not 0 <= value <= 1:
                raise UserError(f"algo.{name} must be in [0, 1], got {value}")
        if not temperature > 0:
            raise UserError(f"algo.temperature must be above 0, got {temperature}")
        if bank < 1 or dim < 1:
            raise UserError(f"algo.bank and algo.dim must be 1 or more, got {bank} and {dim}")
        self.teacher, self.classes = teacher, setup.classes
        self.lambda_u, self.lambda_c, self.tau, self.alpha = lambda_u, lambda_c, tau, alpha
        self.temperature, self.graph = temperature, graph
        self.align, inner = Recent(setup, BATCHES), setup.student.feature_dim
        self.projector = projector(inner, dim)
        self.bank = Bank(bank, dim, setup.classes)

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        n = len(u.index)
        weak = self.teacher.predict(self.student, u["weak"], step)  # logits (N, C), features (N, D)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        first, second = joint_forward("student", self.student, step, u["strong"], u["strong2"])  # of N each
        with torch.autocast(u.index.device.type, enabled=False):
            with torch.no_grad():
                f_x, f = self.project(out_x.features), self.project(weak.features)  # (B, dim), (N, dim)
                a = self.align(weak.p)  # (N, C)
                q = self.smoothed(f, a)  # (N, C)
            likeness = self.project(first.features) @ self.project(second.features).T  # (N, N)
            contrast = -(self.pairs(q) * (likeness / self.temperature).log_softmax(1)).sum(1).mean()  # ()
        confidence = q.amax(1)  # (N,)
        labels = PseudoLabels(q, (confidence >= self.tau).float(), confidence)
        terms = {
            "supervised": cross_entropy(out_x, x.y),
            "unlabeled": self.lambda_u * weighted_ce(first.logits, labels, n=n),
            "contrast": self.lambda_c * contrast,
        }
        seen = {"f": f, "a": a, "f_x": f_x, "y": labels_of(x, self.classes).target, "p": weak.p}
        return Losses(terms, labels, seen)

    def project(self, features: Tensor) -> Tensor:
        """(N, dim) of length 1, of features (N, D)."""
        return F.normalize(self.projector(features))

    def smoothed(self, f: Tensor, a: Tensor) -> Tensor:
        """q (N, C) of projected features (N, dim) and aligned predictions (N, C)."""
        q = self.alpha * a + (1 - self.alpha) * self.bank.read(f, self.temperature)  # (N, C)
        return torch.where(self.bank.full(), q, a)

    def pairs(self, q: Tensor) -> Tensor:
        """G (N, N) of targets (N, C)."""
        g = (q @ q.T).fill_diagonal_(1)  # (N, N)
        g = torch.where(g >= self.graph, g, 0)
        return g / g.sum(1, keepdim=True)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        self.teacher.update(self.student, step)
        f, a, f_x, y, p = (
            gather(torch.cat([loss.memory[name] for loss in losses])) for name in ("f", "a", "f_x", "y", "p")
        )  # rows of the global batch
        self.align.update(p, step)
        self.bank.write(torch.cat([f, f_x]), torch.cat([a, y]))

    def networks(self) -> dict[str, Classifier]:
        return {"student": self.student, **self.teacher.networks()}
