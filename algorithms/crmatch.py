"""FixMatch with features of the two views that are pushed apart, and a head that tells rotations.

Paper: Fan, Kukleva and Schiele 2021, Revisiting Consistency Regularization for Semi-Supervised Learning,
arXiv:2112.05825

Features are pooled before they are pushed apart, as in USB with a ViT; published code flattens the map of a WRN.
Rotated images leave BatchNorm's running statistics alone, as evaluation is on upright ones; published code forwards all
views together.
"""

import torch
import torch.nn.functional as F
from torch import nn

from sslkit.algorithms._rotation import QUARTERS, all_rotated
from sslkit.algorithms.mixers.none import Identity
from sslkit.algorithms.teachers.self import Student
from sslkit.contracts import Batch, Losses, PseudoLabeler, Setup
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, frozen_stats, joint_forward, weighted_ce
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class CRMatch(PseudoLabeling):
    """L = H(y, p(x)) + lambda_u / N sum_i w_i H(target_i, p(strong_i))
        + lambda_d / N sum_i w_i max(0, cos(g(strong_i), g(weak_i))) + lambda_r H(k, r(image turned by k quarters))

    The last is the mean over all four turns of B images of the stream "all". g is a linear layer of the features, r one
    of two layers with ReLU. The gradient of the cosine reaches both views; labels are detached. Weak and strong views
    are forwarded together.

    Options:
        lambda_u, lambda_d, lambda_r: weights of the consistency, the distance and the rotation term.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "strong"), "all": ("weak",)}
    slots = {"labeler": "threshold"}

    def __init__(
        self,
        setup: Setup,
        *,
        labeler: PseudoLabeler,
        lambda_u: float = 1.0,
        lambda_d: float = 1.0,
        lambda_r: float = 1.0,
    ) -> None:
        super().__init__(setup, teacher=Student(setup), labeler=labeler, mixer=Identity(setup), lambda_u=lambda_u)
        if lambda_d < 0 or lambda_r < 0:
            raise UserError(f"algo.lambda_d and algo.lambda_r must be 0 or more, got {lambda_d} and {lambda_r}")
        self.lambda_d, self.lambda_r, dim = lambda_d, lambda_r, setup.student.feature_dim
        self.g = nn.Linear(dim, dim)
        self.r = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, QUARTERS))

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u, images = batch["labeled"], batch["unlabeled"], batch["all"]["weak"]  # of B, N and B images
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        weak, strong = joint_forward("student", self.student, step, u["weak"], u["strong"])  # logits (N, C) each
        labels = self.labeler.label(weak.detach(), out_x.detach(), batch, step)  # target (N, C), weight (N,)
        with frozen_stats(self.student):
            turned = step.forward("rotation", self.student, all_rotated(images).flatten(0, 1)).features  # (4 B, D)
        quarters = torch.arange(len(turned), device=turned.device) // len(images)  # (4 B,)
        with torch.autocast(turned.device.type, enabled=False):
            cosine = F.cosine_similarity(self.g(strong.features), self.g(weak.features))  # (N,)
            rotation = F.cross_entropy(self.r(turned), quarters)  # ()
        terms = {
            "supervised": cross_entropy(out_x, x.y),
            "unlabeled": self.lambda_u * weighted_ce(strong.logits, labels, n=len(u.index)),
            "distance": self.lambda_d * (labels.weight * cosine.clamp_min(0)).mean(),
            "rotation": self.lambda_r * rotation,
        }
        return Losses(terms, labels, {"index": u.index})
