"""Blends of the kept images with others are appended to the batch, which stays as it is."""

import torch

from sslkit import register
from sslkit.contracts import Mixed, Mixer, PseudoLabels
from sslkit.errors import UserError


@register("mixer")
class Appending(Mixer):
    def __init__(self, setup, *, alpha: float = 0.5):
        super().__init__()
        if not alpha > 0:
            raise UserError(f"mixer.alpha must be above 0, got {alpha}")
        self.alpha = alpha

    def mix(self, images, labels, step):
        n, device = len(images), images.device
        j = step.permutation("mixer.pair", n, device)
        lam = step.beta("mixer.ratio", self.alpha, n, device=device)  # (N,)
        blended = torch.lerp(images[j], images, lam[:, None, None, None])
        target = torch.lerp(labels.target[j], labels.target, lam[:, None])
        weight = torch.minimum(labels.weight, labels.weight[j])
        confidence = torch.minimum(labels.confidence, labels.confidence[j])
        both = PseudoLabels(
            torch.cat([labels.target, target]),
            torch.cat([labels.weight, weight]) / 2,
            torch.cat([labels.confidence, confidence]),
        )
        return Mixed(torch.cat([images, blended]), both)
