"""Sampling along an affine map, with the coordinates, filters and edges of Pillow's `Image.transform`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

LARGE = 1 << 16  # grey levels of an image, from which a core's cache is better used by one at a time
Filter = Literal["nearest", "bilinear", "bicubic"]


def warp(images: Tensor, matrix: Tensor, kind: Filter, fill: Tensor | None = None) -> Tensor:
    """Levels (N, C, H, W), whole float32 -> the same, sampled at x' = a x + b y + c, y' = d x + e y + f.

    Pixel centres are at half numbers.

    Args:
        matrix: (N, 6) float64 on the host: a, b, c, d, e, f, from a pixel of the result to a place in the image.
        fill: (N, C) levels for places outside; None reflects the image at its edges, and wants "bilinear".
    """
    height, width = images.shape[2:]
    device = images.device
    if kind == "bicubic" and fill is not None and alone(images) and not _slides(matrix):
        return _by_pillow(images, matrix, fill)
    there = matrix.view(-1, 2, 3).to(device, torch.float32, non_blocking=True)[..., None, None]
    y = (torch.arange(height, device=device) + 0.5)[:, None]
    x = torch.arange(width, device=device) + 0.5
    at = there[:, :, 0] * x + there[:, :, 1] * y + there[:, :, 2]  # (N, 2, H, W): x', y'
    if kind == "bicubic":
        made = _bicubic(images, at, matrix)
    else:
        size = torch.tensor([width, height]).to(device, non_blocking=True)[:, None, None]
        grid = (at * (2 / size) - 1).permute(0, 2, 3, 1)
        edge = "reflection" if fill is None else "border"
        made = F.grid_sample(images, grid, kind, edge, align_corners=False)
    made = made.add_(1e-3).clamp_(0, 255).floor_()  # Pillow cuts off; 1e-3: so that 41.99999 is 42
    if fill is None:
        return made
    x_there, y_there = at[:, :1], at[:, 1:]
    inside = (x_there >= 0).logical_and_(x_there < width).logical_and_(y_there >= 0).logical_and_(y_there < height)
    return torch.where(inside, made, fill[..., None, None])


def alone(images: Tensor) -> bool:
    """Whether this is one large image on a CPU, which is worked on by itself."""
    return images.device.type == "cpu" and len(images) == 1 and images.numel() >= LARGE


def _slides(matrix: Tensor) -> bool:
    """Whether rows or columns keep their order, as for all but rotations."""
    a, b, d, e = matrix[0, [0, 1, 3, 4]].tolist()
    return a == e == 1 and 0 in (b, d)


def _by_pillow(images: Tensor, matrix: Tensor, fill: Tensor) -> Tensor:
    """One image by Pillow itself: sixteen pixels for each place are gathered faster in C than by tensor operations."""
    pixels = images[0].to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    how, colour = Image.Resampling.BICUBIC, tuple(int(level) for level in fill[0].tolist())
    made = Image.fromarray(pixels).transform(
        pixels.shape[1::-1], Image.Transform.AFFINE, matrix[0].tolist(), how, fillcolor=colour
    )
    return (
        torch.from_numpy(np.array(made)).permute(2, 0, 1)[None].to(torch.float32, memory_format=torch.contiguous_format)
    )


def _bicubic(images: Tensor, at: Tensor, matrix: Tensor) -> Tensor:
    """(N, C, H, W) float32 at places (N, 2, H, W), by Pillow's kernel.

    It has a = -1; that of `grid_sample` has a = -3/4: pytorch/pytorch#44780.
    """
    same = matrix == torch.tensor([1.0, 0, 0, 0, 1, 0], dtype=matrix.dtype)  # on the host
    a, b, c, d, e, f = same.all(0).tolist()
    if a and d and e and f:  # rows slide, as in shear_x and translate_x
        return _slide(images, at[:, 0, :, 0] - 0.5, _reach(matrix[:, 1:3], images.shape[2:]))
    if a and b and c and e:
        reach = _reach(matrix[:, [3, 5]], images.shape[:1:-1])
        return _slide(images.transpose(2, 3), at[:, 1, 0, :] - 0.5, reach).transpose(2, 3)
    return _turn(images, at - 0.5)


def _reach(slide: Tensor, sides: Sequence[int]) -> int:
    """How many pixels beyond an edge a row is taken from, at most; beyond a width of itself it has one colour.

    Args:
        slide: (N, 2) on the host, a row's shift: times its number, and of all.
        sides: rows, and pixels of a row.
    """
    furthest = (slide[:, 0].abs() * sides[0] + slide[:, 1].abs()).max()
    return min(math.ceil(float(furthest)), sides[1]) + 3


def _slide(images: Tensor, start: Tensor, reach: int) -> Tensor:
    """Each row taken from pixel `start` (N, H) on: four pixels, whose weights all of a row share."""
    n, channels, height, width = images.shape
    low = start.floor()
    edges = (images[..., :1].expand(-1, -1, -1, reach), images[..., -1:].expand(-1, -1, -1, reach))
    padded = torch.cat([edges[0], images, edges[1]], 3).contiguous()
    rows = padded.view(-1).unfold(0, width, 1)  # every run of `width` pixels; a row of the result is one, copied whole
    first = torch.arange(n * channels * height, device=images.device).view(n, channels, height) * padded.shape[3]
    place = first + low.long().clamp_(1 - reach, reach - 3)[:, None] + reach
    weight = cubic(start - low, -1)[:, :, None, :, None]  # (4, N, 1, H, 1)
    made = torch.zeros_like(padded[..., :width])
    for tap in range(4):
        made.addcmul_(rows.index_select(0, place.view(-1) + (tap - 1)).view(made.shape), weight[tap])
    return made


def _turn(images: Tensor, at: Tensor) -> Tensor:
    """At any places (N, 2, H, W), 0 being the first pixel: 4 x 4 pixels."""
    n, channels, height, width = images.shape
    low = at.floor()
    column_weight, row_weight = cubic(at - low, -1).unbind(2)  # (4, N, H, W)
    column, row = (low.long() + _offsets(images)[..., None]).unbind(2)
    column, row = column.clamp(0, width - 1), row.clamp(0, height - 1)
    pixels = images.flatten(2).expand(4, -1, -1, -1)  # (4, N, C, HW)
    made = torch.zeros(n, channels, height * width, device=images.device)
    for i in range(4):
        index = (row[i] * width + column).view(4, n, 1, -1)
        near = pixels.gather(3, index.expand(-1, -1, channels, -1))
        made += near.mul_((row_weight[i] * column_weight).view(4, n, 1, -1)).sum(0)
    return made.view(images.shape)


def _offsets(images: Tensor) -> Tensor:
    return torch.arange(-1, 3, device=images.device)[:, None, None, None]


def cubic(d: Tensor, a: float) -> Tensor:
    """(4, …) weights of the pixels at -1, 0, 1 and 2 for a place d in [0, 1) beyond pixel 0 (Keys 1981, equation 4)."""
    r = 1 - d
    outer = d * r * a
    return torch.stack([outer * r, ((a + 2) * d - (a + 3)) * d * d + 1, ((a + 2) * r - (a + 3)) * r * r + 1, outer * d])
