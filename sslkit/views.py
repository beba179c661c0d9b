"""Views: batched augmentation on the training device, a draw of its own for every sample.

A policy is a value; applying it is a pure function of (uint8 images, uniforms).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

DRAWS = 10  # uniforms that one view of one sample takes


@dataclass(frozen=True)
class Policy:
    """How a view is drawn. All zeros is the image itself."""

    shift: float = 0.0  # largest shift, as a share of the side, either way
    rotate: float = 0.0  # largest rotation in degrees, either way
    flip: bool = False  # mirrored with probability 1/2
    brightness: float = 0.0  # factor 1 - b … 1 + b
    contrast: float = 0.0  # factor 1 - c … 1 + c about the image's mean
    erase: float = 0.0  # probability that one box is erased
    erase_area: float = 0.33  # largest area of that box, as a share of the image

    def __post_init__(self) -> None:
        for name in ("shift", "brightness", "contrast", "erase", "erase_area"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"rotate must be in [0, 180] degrees, got {self.rotate}")


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) -> float32, (x / 255 - mean) / std per channel; mean, std are (3,)."""
    return (images.float() / 255 - mean[:, None, None]) / std[:, None, None]


def view(images: Tensor, policy: Policy, u: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """One view of uint8 images (N, 3, H, W): float32 (N, 3, H, W), normalised.

    Args:
        u: (N, DRAWS) uniform in [0, 1); row i alone decides what happens to image i.
    """
    x = images.float() / 255
    if policy.shift or policy.rotate or policy.flip:
        x = F.grid_sample(x, _grid(policy, u, x), mode="bilinear", padding_mode="reflection", align_corners=False)
    if policy.brightness or policy.contrast:
        x = _light(x, policy, u)
    x = (x - mean[:, None, None]) / std[:, None, None]
    return _erase(x, policy, u) if policy.erase else x


def _grid(policy: Policy, u: Tensor, x: Tensor) -> Tensor:
    """(N, H, W, 2) sampling grid of shift, rotation and mirror image."""
    angle = (2 * u[:, 0] - 1) * math.radians(policy.rotate)
    shift = (2 * u[:, 1:3] - 1) * 2 * policy.shift  # (N, 2), in grid units: the side is 2
    mirror = torch.where(u[:, 3] < 0.5, -1.0, 1.0) if policy.flip else torch.ones_like(angle)
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([mirror * cos, -sin, shift[:, 0], mirror * sin, cos, shift[:, 1]], 1)
    return F.affine_grid(rows.view(-1, 2, 3), list(x.shape), align_corners=False)


def _light(x: Tensor, policy: Policy, u: Tensor) -> Tensor:
    brightness = 1 + (2 * u[:, 4] - 1) * policy.brightness
    contrast = 1 + (2 * u[:, 5] - 1) * policy.contrast
    x = x * brightness[:, None, None, None]
    mean = x.mean((1, 2, 3), keepdim=True)
    return (mean + (x - mean) * contrast[:, None, None, None]).clamp(0, 1)


def _erase(x: Tensor, policy: Policy, u: Tensor) -> Tensor:
    """One box of 2% to `erase_area` of the image, aspect 0.3 to 3.3, becomes 0: the mean colour."""
    area = 0.02 + u[:, 7] * max(policy.erase_area - 0.02, 0)
    root_aspect = torch.exp((2 * u[:, 8] - 1) * math.log(3.3) / 2)
    inside = (u[:, 6] < policy.erase)[:, None, None]  # (N, 1, 1), then (N, H, W)
    sides = (
        (x.shape[2], area.sqrt() * root_aspect, u[:, 9]),
        (x.shape[3], area.sqrt() / root_aspect, u[:, 3]),
    )
    for dim, (length, share, at) in enumerate(sides):
        side = (share.clamp_max(1) * length).round()
        first = (at * (length - side + 1)).floor()
        place = torch.arange(length, device=x.device)
        within = (place >= first[:, None]) & (place < (first + side)[:, None])
        inside = inside & (within[:, :, None] if dim == 0 else within[:, None, :])
    return x.masked_fill(inside[:, None], 0.0)
