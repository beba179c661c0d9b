"""Features of unlabelled images are drawn to their class's running mean of confident features."""

import torch
import torch.nn.functional as F

from sslkit import register
from sslkit.contracts import Algorithm, Losses, PseudoLabels
from sslkit.losses import cross_entropy, one_hot, weighted_ce


@register("algorithm")
class Centres(Algorithm):
    def __init__(self, setup, *, tau: float = 0.5, weight: float = 0.5, momentum: float = 0.9):
        super().__init__(setup)
        self.tau, self.weight, self.momentum, self.classes = tau, weight, momentum, setup.classes
        self.register_buffer("centres", torch.zeros(setup.classes, setup.student.feature_dim))

    def forward(self, batch, step):
        x, u = batch["labeled"], batch["unlabeled"]
        out_x = step.forward("labeled", self.student, x["weak"])
        with torch.no_grad():
            weak = step.forward("weak", self.student, u["weak"])
        confidence, y = weak.p.max(1)
        labels = PseudoLabels(one_hot(y, self.classes), (confidence >= self.tau).float(), confidence)
        strong = step.forward("strong", self.student, u["strong"])
        near = F.cosine_similarity(strong.features, self.centres[y], dim=1)  # (N,), 0 while there is no centre
        n = len(u.index)
        terms = {
            "supervised": cross_entropy(out_x, x.y),
            "unlabeled": weighted_ce(strong.logits, labels, n=n),
            "centres": self.weight * (labels.weight * (1 - near)).sum() / n,
        }
        memory = {"features": weak.features, "shown": labels.target * labels.weight[:, None]}
        return Losses(terms, labels, memory)

    def after_step(self, losses, step):
        features = F.normalize(torch.cat([loss.memory["features"] for loss in losses]))  # (N, D)
        shown = torch.cat([loss.memory["shown"] for loss in losses])  # (N, C)
        count = shown.sum(0)[:, None]  # (C, 1)
        mean = shown.T @ features / count.clamp_min(1)  # (C, D)
        moved = torch.lerp(self.centres, mean, 1 - self.momentum)
        self.centres.copy_(torch.where(count > 0, moved, self.centres))
