"""The first half of the batch is mixed with the second one, and the second with the first."""

import torch

from sslkit import register
from sslkit.contracts import Mixed, Mixer, PseudoLabels


@register("mixer")
class Halves(Mixer):
    def __init__(self, setup, *, share: float = 0.7):
        super().__init__()
        self.share = share

    def mix(self, images, labels, step):
        half = len(images) // 2
        order = torch.arange(2 * half, device=images.device).view(2, half).flip(0).flatten()
        mixed = torch.lerp(images[order], images[: 2 * half], self.share)
        target = torch.lerp(labels.target[order], labels.target[: 2 * half], self.share)
        return Mixed(mixed, PseudoLabels(target, labels.weight, labels.confidence))
