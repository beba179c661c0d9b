"""What the mixers share: mixup and CutMix of a batch with given partners and ratios, element by element."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sslkit.contracts import Mixer, PseudoLabels, Setup
from sslkit.errors import UserError
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
    root = (1 - lam).clamp_min(0).sqrt()
    sides = []
    for length, at, rounding in ((height, u[0], u[2]), (width, u[1], u[3])):
        if kind == "published":
            half = (length * root).floor().long() // 2
            centre = (at * length).long()
            first, last = (centre - half).clamp_min(0), (centre + half).clamp_max(length)
        else:
            side = (length * root + rounding).floor().long().clamp_max(length)
            first = (at * (length - side + 1)).long()
            last = first + side
        place = torch.arange(length, device=lam.device)
        sides.append((place >= first[:, None]) & (place < last[:, None]))
    return sides[0][:, :, None] & sides[1][:, None, :]


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
    return torch.lerp(images[partner], images, keep), share


@dataclass(frozen=True)
class BetaRatio:
    """timm's rule for a batch: CutMix with probability `switch` else mixup, one Beta draw for all its images."""

    alpha: float
    cutmix_alpha: float
    switch: float

    def __post_init__(self) -> None:
        if self.alpha <= 0 or self.cutmix_alpha <= 0:
            raise UserError(
                f"mixer.alpha and mixer.cutmix_alpha must be above 0, got {self.alpha} and {self.cutmix_alpha}"
            )
        if not 0 <= self.switch <= 1:
            raise UserError(f"mixer.switch is a probability and must be in [0, 1], got {self.switch}")

    def draw(self, n: int, step: Step, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """lam (N,), cut (N,) bool and the boxes' draws (4, N), each the same for the whole batch."""
        cut = step.uniform("mixer.switch", 1, device=device) < self.switch
        mixup = step.beta("mixer.mixup", self.alpha, 1, device=device)
        cutmix = step.beta("mixer.cutmix", self.cutmix_alpha, 1, device=device)
        u = step.uniform("mixer.box", 4, 1, device=device)
        return torch.where(cut, cutmix, mixup).expand(n), cut.expand(n), u.expand(4, n)


class BetaMixer(Mixer):
    """A mixer whose ratios are drawn from Beta distributions, one draw a batch.

    Options:
        alpha, cutmix_alpha: of the distributions of mixup and CutMix ratios.
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

    def blended(self, images: Tensor, labels: PseudoLabels, partner: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) and targets (N, C) mixed with those of their partners (N,)."""
        lam, cut, u = self.ratio.draw(len(images), step, images.device)
        mixed, share = blend(images, partner, lam, cut, u, self.box)
        return mixed, torch.lerp(labels.target[partner], labels.target, share[:, None])
