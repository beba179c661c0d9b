"""What the mixers share that draw one ratio a batch.

Who is mixed with whom, and what becomes of the weights, is their own.
"""

import torch
from torch import Tensor

from sslkit.blend import BetaRatio, Box, blend
from sslkit.contracts import Mixer, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.randomness import Step


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
        if alpha <= 0 or cutmix_alpha <= 0:
            raise UserError(f"mixer.alpha and mixer.cutmix_alpha must be above 0, got {alpha} and {cutmix_alpha}")
        if not 0 <= switch <= 1:
            raise UserError(f"mixer.switch is a probability and must be in [0, 1], got {switch}")
        self.ratio, self.box = BetaRatio(alpha, cutmix_alpha, switch), box

    def blended(self, images: Tensor, labels: PseudoLabels, partner: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) and targets (N, C) mixed with those of their partners (N,)."""
        lam, cut, u = self.ratio.draw(len(images), step, images.device, "mixer")  # (N,), (N,), (4, N)
        mixed, share = blend(images, partner, lam, cut, u, self.box)  # (N, 3, H, W), (N,)
        return mixed, torch.lerp(labels.target[partner], labels.target, share[:, None])  # target (N, C)
