"""ResizeMix: a whole image, made small, is pasted into another one (Qin et al. 2020, arXiv:2012.11101)."""

import torch
from torch import Tensor

from sslkit.blend import boxes

CROP = 0.9  # side of the middle of the image that is made small, as a share of the whole side


def resizemix(images: Tensor, partner: Tensor, scale: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, 3, H, W) with their partners pasted in, and the shares (N,) of their area that are left.

    The partner's middle goes into a box about a uniformly drawn pixel, clipped at the border, by the nearest pixel.

    Args:
        partner: (N,) int64, who is pasted in.
        scale: (N,) sides of the boxes before they are clipped, as shares of the image's; 0 pastes nothing.
        u: (4, N) uniform draws.
    """
    inside = boxes(1 - scale.square(), u, images.shape[2], images.shape[3], "published")  # (N, H, W) bool
    rows, columns = _source(inside.any(2)), _source(inside.any(1))  # (N, H), (N, W) int64
    small = images[partner[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # (N, 3, H, W)
    return torch.where(inside[:, None], small, images), 1 - inside.to(scale).mean((1, 2))


def _source(inside: Tensor) -> Tensor:
    """(N, L) int64: from which place along a side of L pixels each place within the box (N, L) bool is taken."""
    length = inside.shape[1]
    side = int(length * CROP)  # of the middle
    place = torch.arange(length, device=inside.device)  # (L,)
    first, size = inside.int().argmax(1, keepdim=True), inside.sum(1, keepdim=True).clamp_min(1)  # (N, 1) each
    source = (place - first) * side // size + (length - side) // 2  # (N, L)
    return source.clamp(0, length - 1)  # outside of the box it is not used
