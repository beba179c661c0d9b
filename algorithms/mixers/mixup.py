"""Mixup of the whole batch, a ratio for every image, which keeps the larger share.

Paper: Zhang et al. 2018, mixup, arXiv:1710.09412; Berthelot et al. 2019, MixMatch, arXiv:1905.02249, eq. 8 to 11

Ratios are drawn for each image, as in Google's code; TorchSSL and USB draw one a batch.
"""

import torch
from torch import Tensor

from sslkit.contracts import Mixed, Mixer, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.randomness import Step
from sslkit.registry import register


@register("mixer")
class Mixup(Mixer):
    """For each image i and a random partner j: lam_i ~ Beta(alpha, alpha), lam_i <- max(lam_i, 1 - lam_i),

        image = lam_i u_i + (1 - lam_i) u_j,  target = lam_i q_i + (1 - lam_i) q_j

    Weight and confidence are those of image i, whose share is at least one half.

    Options:
        alpha: of the Beta distribution; small values hardly mix.
    """

    def __init__(self, setup: Setup, *, alpha: float = 0.5) -> None:
        super().__init__()
        if not alpha > 0:
            raise UserError(f"mixer.alpha must be above 0, got {alpha}")
        self.alpha = alpha

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        n, device = len(images), images.device
        j = step.permutation("mixer.pair", n, device)  # (N,)
        drawn = step.beta("mixer.mixup", self.alpha, n, device=device)  # (N,)
        lam = torch.maximum(drawn, 1 - drawn)  # (N,)
        mixed = torch.lerp(images[j], images, lam[:, None, None, None])  # (N, 3, H, W)
        target = torch.lerp(labels.target[j], labels.target, lam[:, None])  # (N, C)
        return Mixed(mixed, PseudoLabels(target, labels.weight, labels.confidence))
