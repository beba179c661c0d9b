"""Images turned by quarters of a circle, for a head that has to tell by how many."""

import torch
from torch import Tensor

QUARTERS = 4


def rotated(images: Tensor, quarters: Tensor) -> Tensor:
    """Square images (N, 3, S, S), each turned counter-clockwise by its number of quarters (N,) int64 in 0 to 3."""
    return all_rotated(images)[quarters, torch.arange(len(images), device=images.device)]


def all_rotated(images: Tensor) -> Tensor:
    """Square images (N, 3, S, S) turned by 0 to 3 quarters (4, N, 3, S, S)."""
    return torch.stack([images.rot90(i, (2, 3)) for i in range(QUARTERS)])
