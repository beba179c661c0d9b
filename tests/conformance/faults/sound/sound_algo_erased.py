"""A view with an erased band should be predicted as the averaged student predicts the whole one."""

import torch

from sslkit import register
from sslkit.contracts import Algorithm, Losses, PseudoLabels
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, frozen_stats, gather


@register("algorithm")
class Erased(Algorithm):
    views = {"labeled": ("weak",), "unlabeled": ("weak", "weak2")}
    slots = {"teacher": "ema"}

    def __init__(self, setup, *, teacher, weight: float = 10.0, share: float = 0.25, momentum: float = 0.9):
        super().__init__(setup)
        if not 0 < share < 1 or weight < 0:
            raise UserError(f"algo.share must be in (0, 1) and weight 0 or more, got {share} and {weight}")
        self.teacher, self.weight, self.share, self.momentum = teacher, weight, share, momentum
        self.register_buffer("level", torch.tensor(1 / setup.classes))  # running mean of the confidence

    def forward(self, batch, step):
        x, u = batch["labeled"], batch["unlabeled"]
        with frozen_stats(self.student):
            target = self.teacher.predict(self.student, u["weak"], step).p  # (N, C)
        confidence = target.amax(1)
        weight = (confidence / self.level.clamp_min(1e-6)).clamp_max(1)
        out_x = step.forward("labeled", self.student, x["weak"])
        p = step.forward("student", self.student, self.erase(u["weak2"], step)).p  # (N, C)
        squares = (p - target).square().mean(1)  # (N,)
        consistency = self.weight * step.ramp(0.4) * (weight * squares).mean()
        labels = PseudoLabels(target, weight, confidence)
        return Losses({"supervised": cross_entropy(out_x, x.y), "consistency": consistency}, labels)

    def erase(self, images, step):
        """Images with rows of zeros, the same number of rows in each, at a place of its own."""
        n, height = len(images), images.shape[2]
        band = max(1, round(self.share * height))
        first = (step.uniform("erased.row", n, device=images.device) * (height - band + 1)).long()  # (N,)
        row = torch.arange(height, device=images.device)
        inside = (row >= first[:, None]) & (row < first[:, None] + band)  # (N, H)
        return torch.where(inside[:, None, :, None], 0.0, images)

    def after_step(self, losses, step):
        self.teacher.update(self.student, step)
        confidence = gather(torch.cat([loss.labels.confidence for loss in losses]))
        self.level.lerp_(confidence.mean(), 1 - self.momentum)

    def networks(self):
        return {"student": self.student, **self.teacher.networks()}
