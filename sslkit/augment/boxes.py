"""Boxes drawn on the host: for random resized crops, random erasing and cutout."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TRIES = 10  # of torchvision and of timm, before they give up
BOX_DRAWS = 2 * TRIES + 2


@dataclass(frozen=True)
class Boxes:
    """Whole numbers, (N,) int64 on the host; a height of 0 is no box."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor

    def of(self, rows: Tensor | slice) -> Boxes:
        return Boxes(*(x[rows] for x in vars(self).values()))

    def box(self, row: int) -> list[int]:
        """Top, left, height and width of one."""
        return [int(x[row]) for x in vars(self).values()]

    def describe(self, row: int) -> str:
        """Height, width and place of one box, in pixels."""
        return f"{self.height[row]}x{self.width[row]} at {self.top[row]},{self.left[row]}"

    def mask(self, height: int, width: int, device: torch.device) -> Tensor:
        """(N, height, width) bool, true inside."""
        rows = _within(self.top, self.height, height, device)
        columns = _within(self.left, self.width, width, device)
        return rows[:, :, None] & columns[:, None, :]


def _within(first: Tensor, length: Tensor, size: int, device: torch.device) -> Tensor:
    low, high = torch.stack([first, first + length]).to(device, non_blocking=True)[:, :, None]
    place = torch.arange(size, device=device)
    inside: Tensor = (place >= low) & (place < high)
    return inside


def crop_boxes(u: Tensor, height: int | Tensor, width: int | Tensor, smallest: float) -> Boxes:
    """torchvision's RandomResizedCrop: area `smallest` to 1, aspect 3/4 to 4/3; the middle where none of ten fits.

    Args:
        u: (N, BOX_DRAWS) uniform.
        height, width: of all images, or (N,) of each.
    """
    ratio = (3 / 4, 4 / 3)
    height, width = (torch.as_tensor(side, dtype=torch.float64).expand(len(u)) for side in (height, width))
    boxes = _first_fit(u, height, width, (smallest, 1.0), ratio, spare=0)
    none = boxes.height == 0
    high, wide = torch.minimum(height, (width / ratio[0]).round()), torch.minimum(width, (height * ratio[1]).round())
    middle = ((height - high) // 2, (width - wide) // 2, high, wide)
    return Boxes(*(torch.where(none, m.long(), b) for m, b in zip(middle, vars(boxes).values(), strict=True)))


def erase_boxes(u: Tensor, height: int, width: int, largest_area: float) -> Boxes:
    """timm's RandomErasing: area 2% to `largest_area`, aspect 0.3 to 1/0.3; none where none of ten fits.

    Args:
        u: (N, BOX_DRAWS) uniform.
    """
    area = (min(0.02, largest_area), largest_area)
    high, wide = (torch.full((len(u),), side, dtype=torch.float64) for side in (height, width))
    return _first_fit(u, high, wide, area, (0.3, 1 / 0.3), spare=1)


def cutout_boxes(u: Tensor, height: int, width: int, side: Tensor) -> Boxes:
    """Google's cutout: a square about any pixel, cut off at the border.

    Args:
        u: (N, 2) uniform.
        side: (N,) whole numbers of pixels.
    """
    half = side // 2
    edges = []
    for column, size in ((u[:, 0], height), (u[:, 1], width)):
        centre = (column.double() * size).long()
        low, high = (centre - half).clamp_min(0), (centre + half).clamp_max(size)
        edges += [low, high - low]
    return Boxes(edges[0], edges[2], edges[1], edges[3])


def _first_fit(
    u: Tensor, height: Tensor, width: Tensor, area: tuple[float, float], ratio: tuple[float, float], spare: int
) -> Boxes:
    """Of ten boxes drawn by area and log aspect (height over width), the first that is not too large, anywhere.

    Args:
        height, width: (N,) float64.
        spare: pixels by which a box must be smaller than its image.
    """
    u = u.double()
    share, aspect = u[:, :TRIES], u[:, TRIES : 2 * TRIES]
    pixels = (area[0] + share * (area[1] - area[0])) * height[:, None] * width[:, None]
    stretch = torch.exp(math.log(ratio[0]) + aspect * math.log(ratio[1] / ratio[0]))
    high, wide = (pixels * stretch).sqrt().round(), (pixels / stretch).sqrt().round()  # (N, TRIES)
    fits = (high >= 1) & (wide >= 1) & (high <= height[:, None] - spare) & (wide <= width[:, None] - spare)
    first = fits.int().argmax(1, keepdim=True)
    found = fits.any(1)
    high, wide = (x.gather(1, first)[:, 0].where(found, 0.0) for x in (high, wide))
    top = torch.minimum((u[:, -2] * (height - high + 1)).floor(), height - high)
    left = torch.minimum((u[:, -1] * (width - wide + 1)).floor(), width - wide)
    return Boxes(*(x.long() for x in (top, left, high, wide)))
