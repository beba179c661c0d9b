"""FixMatch on images that are drawn by how likely they are known: by the angle of their features to the classes' means.

Paper: Wallin et al. 2024, ProSub: Probabilistic Open-Set Semi-Supervised Learning with Subspaces, arXiv:2407.11735

The pool may have classes without a label. Means and laws have the momentum of the averaged network, as published. s is
kept off 0 and 1, and the laws' parameters above 0, where densities are not finite. With as many classes as features, or
more, the means span all, and every s is 1. Published with WRN-28-2, mu 7. How a test image is rejected is
not published; here it is where the law of unknown ones is the likelier.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, gather, joint_forward, one_hot, weighted_ce
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register

EPS = 1e-6  # of s and of a variance
SPARE = 0.1  # in the denominator of P: where both laws are unlikely, an image is not known
LEAST = 1e-2  # parameter of a law


@register("algorithm")
class ProSub(Algorithm):
    """L = H(y, p(x)) + lambda_s mean 1 - cos(g(f(strong)), f) + lambda_u L_u + lambda_sub mean (1 - 2 k) s.

    f are features of the weak view, g a linear layer, s = cos(f, Q Q^T f) with an orthonormal basis Q of what the mean
    features of the classes span; k is 1 with the probability P, else 0. No gradient enters P, or f in the second term.

        P = pi B(s; known) / (pi B(s; known) + (1 - pi) B(s; unknown) + 0.1)
        L_u = mean k [max p >= tau] H(ŷ, p(strong))

    B are densities of Beta laws, whose parameters follow from mean and variance of s: for known ones of labelled images
    and of the pool in the shares pi B / (pi B + (1 - pi) B), for the others of the pool in the rest.

    Options:
        lambda_u, lambda_s, lambda_sub: weights. Published code has lambda_s 5; its commands 10 for CIFAR-10, 15 for
            CIFAR-100, 20 to 50 for parts of ImageNet.
        tau: probability from which an image is kept.
        pi: share of the pool that is of known classes, in (0, 1).
        wait: share of the steps without the last two terms. Published: 50,000 of 2^19, and 30,000 of 100,000.
    """

    basis: Tensor  # (C, D) mean features of the classes; zeros where there was none
    laws: Tensor  # (2, 2) alpha and beta, of known images and of others

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {"projector": nn.Sequential(nn.Linear(features, features))}

    def __init__(
        self,
        setup: Setup,
        *,
        lambda_u: float = 1.0,
        lambda_s: float = 5.0,
        lambda_sub: float = 1.0,
        tau: float = 0.95,
        pi: float = 0.5,
        wait: float = 0.1,
    ) -> None:
        super().__init__(setup)
        for name, value in (("lambda_u", lambda_u), ("lambda_s", lambda_s), ("lambda_sub", lambda_sub)):
            if value < 0:
                raise UserError(f"algo.{name} must be 0 or more, got {value}")
        if not 0 <= tau <= 1 or not 0 <= wait <= 1 or not 0 < pi < 1:
            raise UserError(f"algo.tau, algo.wait and algo.pi must be in [0, 1], pi inside; got {tau}, {wait} and {pi}")
        self.lambda_u, self.lambda_s, self.lambda_sub, self.tau, self.pi = lambda_u, lambda_s, lambda_sub, tau, pi
        self.wait, self.classes, self.momentum = wait, setup.classes, setup.decay
        self.register_buffer("basis", torch.zeros(setup.classes, setup.student.feature_dim))
        self.register_buffer("laws", torch.tensor([[10.0, 2.0], [2.0, 10.0]]))

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        views = x["weak"], u["weak"], u["strong"]
        out_x, weak, strong = joint_forward("student", self.student, step, *views)  # logits (B, C), (N, C), (N, C)
        assert x.label is not None
        with torch.autocast(u.index.device.type, enabled=False):
            s, s_x = self.along(weak.features), self.along(out_x.features.detach())  # (N,), (B,)
            guess = self.student.added["projector"](strong.features)  # (N, D)
            unlike = 1 - F.cosine_similarity(guess, weak.features.detach(), 1).mean()  # ()
            inside = self.densities(s.detach()).exp() * self.shares()  # (2, N)
            drawn = step.uniform("prosub.known", len(s), device=s.device) <= inside[0] / (inside.sum(0) + SPARE)
        confidence, y = weak.p.detach().max(1)  # (N,), (N,) int64
        k = drawn.to(s)  # (N,)
        labels = PseudoLabels(one_hot(y, self.classes), k * (confidence >= self.tau), confidence)
        begun = step.index >= self.wait * step.total
        terms = {
            "supervised": cross_entropy(out_x, x.y),
            "similarity": self.lambda_s * unlike,
            "unlabeled": begun * self.lambda_u * weighted_ce(strong.logits, labels, n=len(u.index)),
            "subspace": begun * self.lambda_sub * ((1 - 2 * k) * s).mean(),
        }
        memory = {"features": out_x.features.detach(), "label": x.label, "s_x": s_x, "s": s.detach()}
        return Losses(terms, labels, memory)

    def along(self, features: Tensor) -> Tensor:
        """(N,) s of features (N, D)."""
        with torch.autocast(features.device.type, enabled=False):
            q = torch.linalg.qr(self.basis.T).Q  # (D, min(C, D))
            s = F.cosine_similarity(features, features @ q @ q.T, 1)
        return s.clamp(EPS, 1 - EPS)

    def densities(self, s: Tensor) -> Tensor:
        """(2, N) logarithms of the densities of s (N,), by both laws."""
        alpha, beta = self.laws.T[:, :, None]  # (2, 1) each
        constant = alpha.lgamma() + beta.lgamma() - (alpha + beta).lgamma()  # (2, 1)
        found: Tensor = (alpha - 1) * s.log() + (beta - 1) * (-s).log1p() - constant
        return found

    def shares(self) -> Tensor:
        """(2, 1) pi and 1 - pi."""
        return self.laws.new_tensor([[self.pi], [1 - self.pi]])

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        f, y, s_x, s = (
            gather(torch.cat([loss.memory[name] for loss in losses])) for name in ("features", "label", "s_x", "s")
        )
        p = (self.densities(s) + self.shares().log()).softmax(0)  # (2, N)
        known = moments(torch.cat([s_x, s]), torch.cat([torch.ones_like(s_x), p[0]]))  # (2,)
        self.laws.lerp_(torch.stack([known, moments(s, p[1])]), 1 - self.momentum)
        member = one_hot(y, self.classes).to(f)  # (B, C)
        n = member.sum(0)[:, None]  # (C, 1)
        mean = torch.where(n > 0, member.T @ f / n.clamp_min(1), self.basis)  # (C, D)
        self.basis.lerp_(mean, 1 - self.momentum)

    def open_set(self, network: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
        out = network(images)
        s = self.along(out.features)
        known, unknown = self.densities(s) + self.shares().log()  # (N,) each
        return -s, torch.where(known >= unknown, out.logits.argmax(1), self.classes)


def moments(s: Tensor, weight: Tensor) -> Tensor:
    """(2,) parameters of the Beta law with the weighted mean and variance of s (N,); the even one without weights."""
    total = weight.sum()  # ()
    share = weight / total.clamp_min(EPS)  # (N,)
    mean = (share * s).sum()  # ()
    size = mean * (1 - mean) / (share * (s - mean).square()).sum().clamp_min(EPS) - 1  # ()
    return torch.where(total > 0, (torch.stack([mean, 1 - mean]) * size).clamp_min(LEAST), 1.0)
