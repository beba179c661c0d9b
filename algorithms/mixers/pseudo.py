"""Mixup and CutMix within the confident images; the others stay out.

Paper: Cai et al. 2022, Semi-ViT, arXiv:2208.05688, "Pseudo Mixup" (its definition is inferred from summaries)

How many are confident never comes to the host.
"""

import torch
from torch import Tensor

from sslkit.algorithms.mixers._beta import BetaMixer
from sslkit.contracts import Mixed, PseudoLabels
from sslkit.randomness import Step
from sslkit.registry import register


@register("mixer")
class Pseudo(BetaMixer):
    """Partners are drawn within the images of weight above 0; weights stay as they are."""

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        kept = labels.weight > 0  # (N,) bool
        partner = cycle(kept, step.uniform("mixer.pair", len(images), device=images.device))  # (N,)
        mixed, target = self.blended(images, labels, partner, step)  # (N, 3, H, W), (N, C)
        mixed = torch.where(kept[:, None, None, None], mixed, images)  # (N, 3, H, W)
        target = torch.where(kept[:, None], target, labels.target)  # (N, C)
        return Mixed(mixed, PseudoLabels(target, labels.weight, labels.confidence))


def cycle(member: Tensor, u: Tensor) -> Tensor:
    """(N,) int64: members in one random cycle, so none is its own partner unless alone; others themselves.

    Args:
        member: (N,) bool.
        u: (N,) uniform in [0, 1), the random order.
    """
    n = len(u)
    order = torch.where(member, u, u + 1).argsort(stable=True)  # (N,), members first
    count = member.sum()  # ()
    place = torch.arange(n, device=u.device)  # (N,)
    following = torch.where(place < count, (place + 1) % count.clamp_min(1), place)  # (N,)
    return torch.empty_like(order).scatter_(0, order, order[following])
