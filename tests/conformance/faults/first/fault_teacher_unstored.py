"""The student's moving average, in eval mode, with a decay that begins low.

Paper: Tarvainen and Valpola 2017, arXiv:1703.01780
"""

import torch

from sslkit import register
from sslkit.contracts import Teacher


@register("teacher")
class WarmAverage(Teacher):
    def __init__(self, setup, *, decay: float = 0.99):
        super().__init__()
        self.decay, self.averages = decay, setup.buffers == "average"
        self._kept = [setup.averaged.twin().requires_grad_(False).eval()]  # a list, so that nobody trains it

    @property
    def network(self):
        return self._kept[0]

    @torch.no_grad()
    def predict(self, student, images, step):
        return step.forward("teacher", self.network.to(images.device), images)

    @torch.no_grad()
    def update(self, student, step):
        decay = min(self.decay, (1 + step.index) / (10 + step.index))
        for mine, theirs in zip(self.network.parameters(), student.parameters(), strict=True):
            if mine is not theirs:
                mine.lerp_(theirs.detach(), 1 - decay)
        for mine, theirs in zip(self.network.buffers(), student.buffers(), strict=True):
            if self.averages and mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)

    def networks(self):
        return {"teacher": self.network}
