"""A slow and a fast average of the student; the label is the mean of their predictions."""

import torch

from sslkit import register
from sslkit.contracts import Teacher
from sslkit.errors import UserError
from sslkit.network import Output


@register("teacher")
class TwoSpeeds(Teacher):
    def __init__(self, setup, *, fast: float = 0.5):
        super().__init__()
        if not 0 <= fast < 1:
            raise UserError(f"teacher.fast must be in [0, 1), got {fast}")
        self.decays = {"slow": setup.decay, "fast": fast}
        self.averages = setup.buffers == "average"
        self.slow = setup.averaged.twin().requires_grad_(False).eval()
        self.fast = setup.averaged.twin().requires_grad_(False).eval()

    def train(self, mode=True):
        """Averages are never in train mode."""
        return super().train(False)

    @torch.no_grad()
    def predict(self, student, images, step):
        slow = step.forward("teacher.slow", self.slow, images)
        fast = step.forward("teacher.fast", self.fast, images)
        log_p = torch.logaddexp(slow.logits.log_softmax(1), fast.logits.log_softmax(1))  # (N, C), of the sum
        return Output(log_p, slow.features)

    @torch.no_grad()
    def update(self, student, step):
        for name, decay in self.decays.items():
            network = getattr(self, name)
            for mine, theirs in zip(network.parameters(), student.parameters(), strict=True):
                if mine is not theirs:
                    mine.lerp_(theirs.detach(), 1 - decay)
            for mine, theirs in zip(network.buffers(), student.buffers(), strict=True):
                if self.averages and mine.is_floating_point():
                    mine.lerp_(theirs, 1 - decay)
                else:
                    mine.copy_(theirs)

    def networks(self):
        return {"slow": self.slow, "fast": self.fast}
