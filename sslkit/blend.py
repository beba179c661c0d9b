"""Mixup and CutMix of a batch with given partners and ratios, element by element, and timm's draw of the ratio.

Sources: Zhang et al. 2018 (mixup, 1710.09412), Yun et al. 2019 (CutMix, 1905.04899).

It knows no labels: who mixes them takes the anchors' shares, which come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sslkit.randomness import Step

Box = Literal["published", "unbiased"]


def boxes(lam: Tensor, u: Tensor, height: int, width: int, kind: Box) -> Tensor:
    """(N, H, W) bool, True inside the box that the partner fills.

    Args:
        lam: (N,) wanted share of the anchor; the box has sides H*sqrt(1-lam), W*sqrt(1-lam).
        u: (4, N) uniform draws.
        kind: "published" centres the box uniformly in the image and clips it (timm's rule), so the anchor keeps
            more than lam on average; "unbiased" keeps the box inside and rounds its sides at random, so the
            anchor's mean share is exactly lam.
    """
    root = (1 - lam).clamp_min(0).sqrt()  # (N,)
    sides = []
    for length, at, rounding in ((height, u[0], u[2]), (width, u[1], u[3])):
        if kind == "published":
            half = (length * root).floor().long() // 2  # (N,)
            centre = (at * length).long()  # (N,)
            first, last = (centre - half).clamp_min(0), (centre + half).clamp_max(length)  # (N,) each
        else:
            side = (length * root + rounding).floor().long().clamp_max(length)  # (N,)
            first = (at * (length - side + 1)).long()  # (N,)
            last = first + side  # (N,)
        place = torch.arange(length, device=lam.device)  # (H,), then (W,)
        sides.append((place >= first[:, None]) & (place < last[:, None]))  # (N, H), then (N, W)
    return sides[0][:, :, None] & sides[1][:, None, :]  # (N, H, W)


def blend(images: Tensor, partner: Tensor, lam: Tensor, cut: Tensor, u: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """Mixed images (N, 3, H, W) and the anchors' true shares (N,).

    Args:
        partner: (N,) int64, who is mixed in.
        lam: (N,) wanted share of the anchor.
        cut: (N,) bool, CutMix where True, mixup elsewhere.
        u: (4, N) uniform draws for the boxes.
    """
    inside = boxes(lam, u, images.shape[2], images.shape[3], box).to(images.dtype)  # (N, H, W)
    share = torch.where(cut, 1 - inside.mean((1, 2)), lam)  # (N,)
    keep = torch.where(cut[:, None, None], 1 - inside, lam[:, None, None])[:, None]  # (N, 1, H, W)
    return torch.lerp(images[partner], images, keep), share  # (N, 3, H, W), (N,)


@dataclass(frozen=True)
class BetaRatio:
    """timm's rule for a batch: CutMix with probability `switch` else mixup, one Beta draw for all its images."""

    alpha: float
    cutmix_alpha: float
    switch: float

    def draw(self, n: int, step: Step, device: torch.device, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """lam (N,), cut (N,) bool and the boxes' draws (4, N), each the same for the whole batch."""
        cut = step.uniform(f"{name}.switch", 1, device=device) < self.switch  # (1,) bool
        mixup = step.beta(f"{name}.mixup", self.alpha, 1, device=device)  # (1,)
        cutmix = step.beta(f"{name}.cutmix", self.cutmix_alpha, 1, device=device)  # (1,)
        u = step.uniform(f"{name}.box", 4, 1, device=device)  # (4, 1)
        return torch.where(cut, cutmix, mixup).expand(n), cut.expand(n), u.expand(4, n)
