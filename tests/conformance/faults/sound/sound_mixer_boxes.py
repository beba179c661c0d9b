"""A box of another image is pasted into each; the label is shared by area.

Paper: Yun et al. 2019, CutMix, arXiv:1905.04899
"""

import torch

from sslkit import register
from sslkit.contracts import Mixed, Mixer, PseudoLabels
from sslkit.errors import UserError


@register("mixer")
class Boxes(Mixer):
    def __init__(self, setup, *, largest: float = 0.6):
        super().__init__()
        if not 0 <= largest <= 1:
            raise UserError(f"mixer.largest must be in [0, 1], got {largest}")
        self.largest = largest

    def mix(self, images, labels, step):
        n, device = len(images), images.device
        j = step.permutation("mixer.pair", n, device)
        u = step.uniform("mixer.box", 4, n, device=device)
        rows = span(u[0], self.largest * u[1], images.shape[2])  # (N, H)
        columns = span(u[2], self.largest * u[3], images.shape[3])  # (N, W)
        inside = rows[:, :, None] & columns[:, None, :]  # (N, H, W)
        mixed = torch.where(inside[:, None], images[j], images)
        keep = 1 - inside.float().mean((1, 2))  # (N,)
        target = torch.lerp(labels.target[j], labels.target, keep[:, None])
        weight = torch.lerp(labels.weight[j], labels.weight, keep)
        confidence = torch.lerp(labels.confidence[j], labels.confidence, keep)
        return Mixed(mixed, PseudoLabels(target, weight, confidence))


def span(at, share, length):
    """(N, length) bool: a stretch of a share of the length, at a place drawn by `at` (N,)."""
    side = (share * length).round()
    first = (at * (length - side + 1)).floor()
    place = torch.arange(length, device=at.device)
    return (place >= first[:, None]) & (place < (first + side)[:, None])
