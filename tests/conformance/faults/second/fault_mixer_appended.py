"""Mixed images are appended to the batch, which stays as it is."""

import torch

from sslkit import register
from sslkit.contracts import Mixed, Mixer, PseudoLabels


@register("mixer")
class Appending(Mixer):
    def __init__(self, setup, *, alpha: float = 0.5):
        super().__init__()
        self.alpha = alpha

    def mix(self, images, labels, step):
        n, device = len(images), images.device
        j = step.permutation("mixer.pair", n, device)
        lam = step.beta("mixer.ratio", self.alpha, n, device=device)  # (N,)
        blended = torch.lerp(images[j], images, lam[:, None, None, None])
        target = torch.lerp(labels.target[j], labels.target, lam[:, None])
        weight = torch.lerp(labels.weight[j], labels.weight, lam)
        both = PseudoLabels(
            torch.cat([labels.target, target]), torch.cat([labels.weight, weight]) / 2, labels.confidence
        )
        return Mixed(torch.cat([images, blended]), both)
