"""Probabilistic pseudo mixup: mixing ratios from the confidences of the two images.

Paper: Cai et al. 2022, Semi-ViT, arXiv:2208.05688, "Probabilistic Pseudo Mixup" (as in the official code)
"""

import torch
from torch import Tensor

from sslkit.blend import Box, blend
from sslkit.contracts import Mixed, Mixer, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.randomness import Step
from sslkit.registry import register


@register("mixer")
class ProbPseudo(Mixer):
    """For each image i and a random partner j, with confidences o:

        lam_i = o_i / (o_i + o_j), mixup or CutMix,  weight = max(w_i, w_j),  confidence = max(o_i, o_j)

    With a threshold as labeler, max(w_i, w_j) = [max(o_i, o_j) >= tau]: an unconfident image enters with small
    weight in the picture where its partner is confident, and a pair of two unconfident ones stays out.

    Options:
        cutmix: probability that an image is cut instead of blended, drawn for each.
        box: "published" clips CutMix boxes at the border, which favours the anchor; "unbiased" keeps lam's mean.
    """

    def __init__(self, setup: Setup, *, cutmix: float = 0.5, box: Box = "published") -> None:
        super().__init__()
        if not 0 <= cutmix <= 1:
            raise UserError(f"mixer.cutmix is a probability and must be in [0, 1], got {cutmix}")
        self.cutmix, self.box = cutmix, box

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        n, device = len(images), images.device
        j = step.permutation("mixer.pair", n, device)  # (N,)
        u = step.uniform("mixer.box", 5, n, device=device)  # (5, N)
        o, oj = labels.confidence, labels.confidence[j]  # (N,), (N,)
        lam = torch.where(o + oj > 0, o / (o + oj), 0.5)  # (N,)
        mixed, share = blend(images, j, lam, u[4] < self.cutmix, u, self.box)  # (N, 3, H, W), (N,)
        target = torch.lerp(labels.target[j], labels.target, share[:, None])  # (N, C)
        weight = torch.maximum(labels.weight, labels.weight[j])  # (N,)
        return Mixed(mixed, PseudoLabels(target, weight, torch.maximum(o, oj)))
