"""Mixup with one ratio a batch.

Paper: Zhang et al. 2018, mixup, arXiv:1710.09412
"""

import numpy as np
import torch

from sslkit import register
from sslkit.contracts import Mixed, Mixer, PseudoLabels


@register("mixer")
class PlainMixup(Mixer):
    def __init__(self, setup, *, alpha: float = 0.75):
        super().__init__()
        self.alpha = alpha

    def mix(self, images, labels, step):
        lam = float(np.random.beta(self.alpha, self.alpha))
        lam = max(lam, 1 - lam)
        j = step.permutation("mixer.pair", len(images), images.device)
        mixed = torch.lerp(images[j], images, lam)
        target = torch.lerp(labels.target[j], labels.target, lam)
        return Mixed(mixed, PseudoLabels(target, labels.weight, labels.confidence))
