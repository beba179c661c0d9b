"""Mixup and CutMix of the whole batch; an image counts if it was confident itself.

Paper: Cai et al. 2022, Semi-ViT, arXiv:2208.05688, "Pseudo Mixup+" (behaviour of the official code)

A rejected image still enters the picture and the label of its partner.
"""

import torch
from torch import Tensor

from sslkit.algorithms.mixers._beta import BetaMixer
from sslkit.contracts import Mixed, PseudoLabels
from sslkit.randomness import Step
from sslkit.registry import register


@register("mixer")
class PseudoPlus(BetaMixer):
    """The partner is the image at the mirrored place of the batch; weights are the anchors'."""

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        partner = torch.arange(len(images), device=images.device).flip(0)  # (N,)
        mixed, target = self.blended(images, labels, partner, step)  # (N, 3, H, W), (N, C)
        return Mixed(mixed, PseudoLabels(target, labels.weight, labels.confidence))
