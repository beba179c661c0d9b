"""Mixup and CutMix of the whole batch; an image counts if it was confident itself.

Paper: Cai et al. 2022, Semi-ViT, arXiv:2208.05688, "Pseudo Mixup+" (behaviour of the official code)
"""

import torch
from torch import Tensor

from sslkit.algorithms.mixers._blend import BetaRatio, Box, blend
from sslkit.contracts import Mixed, Mixer, PseudoLabels, Setup
from sslkit.randomness import Step
from sslkit.registry import register


@register("mixer")
class PseudoPlus(Mixer):
    """The partner is the image at the mirrored place of the batch; weights are the anchors'.

    Options: as those of mixer `pseudo`.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
        switch: float = 0.5,
        box: Box = "published",
    ) -> None:
        super().__init__()
        self.ratio, self.box = BetaRatio(alpha, cutmix_alpha, switch), box

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        partner = torch.arange(len(images), device=images.device).flip(0)
        lam, cut, u = self.ratio.draw(len(images), step, images.device)
        mixed, share = blend(images, partner, lam, cut, u, self.box)
        target = torch.lerp(labels.target[partner], labels.target, share[:, None])
        return Mixed(mixed, PseudoLabels(target, labels.weight, labels.confidence))
