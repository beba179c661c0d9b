"""Mixup and CutMix within the confident images; the others stay out.

Paper: Cai et al. 2022, Semi-ViT, arXiv:2208.05688, "Pseudo Mixup" (its definition is inferred from summaries)
"""

import torch
from torch import Tensor

from sslkit.algorithms.mixers._blend import BetaRatio, Box, blend
from sslkit.contracts import Mixed, Mixer, PseudoLabels, Setup
from sslkit.randomness import Step
from sslkit.registry import register


@register("mixer")
class Pseudo(Mixer):
    """Partners are drawn within the images of weight above 0; weights stay as they are.

    Options:
        alpha, cutmix_alpha: of the Beta distributions of mixup and CutMix ratios, one draw a batch.
        switch: probability of CutMix.
        box: "published" clips CutMix boxes at the border, "unbiased" keeps the ratio's mean.
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
        n, device = len(images), images.device
        partner = cycle(labels.weight > 0, step.uniform("mixer.pair", n, device=device))
        lam, cut, u = self.ratio.draw(n, step, device)
        mixed, share = blend(images, partner, lam, cut, u, self.box)
        kept = labels.weight > 0
        mixed = torch.where(kept[:, None, None, None], mixed, images)
        target = torch.lerp(labels.target[partner], labels.target, share[:, None])
        target = torch.where(kept[:, None], target, labels.target)
        return Mixed(mixed, PseudoLabels(target, labels.weight, labels.confidence))


def cycle(member: Tensor, u: Tensor) -> Tensor:
    """(N,) int64: members in one random cycle, so none is its own partner unless alone; others themselves.

    Args:
        member: (N,) bool.
        u: (N,) uniform in [0, 1), the random order.
    """
    n = len(u)
    order = torch.where(member, u, u + 1).argsort(stable=True)  # members first
    count = member.sum()
    place = torch.arange(n, device=u.device)
    following = torch.where(place < count, (place + 1) % count.clamp_min(1), place)
    return torch.empty_like(order).scatter_(0, order, order[following])
