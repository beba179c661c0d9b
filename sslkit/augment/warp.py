"""Sampling along an affine map, with the coordinates, filters and edges of Pillow's `Image.transform`."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

LARGE = 1 << 16  # grey levels of an image, from which a core's cache is better used by one at a time
Filter = Literal["nearest", "bilinear", "bicubic"]
IDENTITY = torch.tensor([1.0, 0, 0, 0, 1, 0], dtype=torch.float64)


def warp(images: Tensor, matrix: Tensor, kind: Filter, fill: Tensor | None = None) -> Tensor:
    """Levels (N, C, H, W), whole float32 -> the same, sampled at x' = a x + b y + c, y' = d x + e y + f.

    Pixel centres are at half numbers.

    Args:
        matrix: (N, 6) float64 on the host: a, b, c, d, e, f, from a pixel of the result to a place in the image.
        fill: (N, C) levels for places outside; None reflects the image at its edges, and wants "bilinear".
    """
    height, width = images.shape[2:]
    device = images.device
    if kind == "bicubic" and fill is not None:
        a, b, c, d, e, f = (matrix == IDENTITY).all(0).tolist()
        if a and d and e and f:  # rows slide, as in shear_x and translate_x
            return _slide(images, matrix[:, 1:3], fill)
        if a and b and c and e:
            return _slide(images.transpose(2, 3), matrix[:, [3, 5]], fill).transpose(2, 3).contiguous()
        if alone(images):
            return _by_pillow(images, matrix, fill)
    there = matrix.view(-1, 2, 3).to(device, torch.float32, non_blocking=True)[..., None, None]
    y = (torch.arange(height, device=device) + 0.5)[:, None]
    x = torch.arange(width, device=device) + 0.5
    at = there[:, :, 0] * x + there[:, :, 1] * y + there[:, :, 2]  # (N, 2, H, W): x', y'
    if kind == "bicubic":
        made = _turn(images, at - 0.5)
    else:
        size = torch.tensor([width, height]).to(device, non_blocking=True)[:, None, None]
        grid = (at * (2 / size) - 1).permute(0, 2, 3, 1)
        edge = "reflection" if fill is None else "border"
        made = F.grid_sample(images, grid, kind, edge, align_corners=False)
    made = _levels(made)
    if fill is None:
        return made
    x_there, y_there = at[:, :1], at[:, 1:]
    inside = (x_there >= 0).logical_and_(x_there < width).logical_and_(y_there >= 0).logical_and_(y_there < height)
    return torch.where(inside, made, fill[..., None, None])


def alone(images: Tensor) -> bool:
    """Whether this is one large image on a CPU, which is worked on by itself."""
    return images.device.type == "cpu" and len(images) == 1 and images.numel() >= LARGE


def _by_pillow(images: Tensor, matrix: Tensor, fill: Tensor) -> Tensor:
    """One image by Pillow itself: sixteen pixels for each place are gathered faster in C than by tensor operations."""
    how, colour = Image.Resampling.BICUBIC, tuple(int(level) for level in fill[0].tolist())
    planes = images[0].contiguous().numpy().astype(np.uint8)
    pixels = Image.merge("RGB", [Image.fromarray(plane) for plane in planes])  # ten times as fast as torch's `permute`
    made = pixels.transform(pixels.size, Image.Transform.AFFINE, matrix[0].tolist(), how, fillcolor=colour)
    turned = torch.from_numpy(np.array(made)).permute(2, 0, 1)[None]
    return turned.to(torch.float32, memory_format=torch.contiguous_format)


def _slide(images: Tensor, slide: Tensor, fill: Tensor) -> Tensor:
    """Rows along themselves, by Pillow's kernel: x' = x + slide[0] y + slide[1]. All of a row has four weights.

    Args:
        slide: (N, 2) float64 on the host.
        fill: (N, C), beyond the ends of a row.
    """
    n, channels, height, width = images.shape
    device, reach = images.device, _reach(slide, height, width)
    shear, shift = slide.t().to(device, torch.float32, non_blocking=True)[..., None]  # (N, 1) each
    x, by = torch.arange(width, device=device) + 0.5, shear * (torch.arange(height, device=device) + 0.5)
    start = 0.5 + by + shift - 0.5  # (N, H), where the first pixel of a row is taken from
    low = start.floor()
    edges = (images[..., :1].expand(-1, -1, -1, reach), images[..., -1:].expand(-1, -1, -1, reach))
    padded = torch.cat([edges[0], images, edges[1]], 3).contiguous()
    runs = padded.view(-1).unfold(0, width + 3, 1)  # every run of so many pixels; a row of the result is made of one
    first = torch.arange(n * channels * height, device=device).view(n, channels, height) * padded.shape[3]
    place = first + low.long().clamp_(1 - reach, reach - 3)[:, None] + (reach - 1)
    near = runs.index_select(0, place.view(-1)).view(n, channels, height, width + 3)
    weight = cubic(start - low, -1)[:, :, None, :, None]  # (4, N, 1, H, 1)
    made = near[..., :width] * weight[0]
    for tap in range(1, 4):
        made.addcmul_(near[..., tap : tap + width], weight[tap])
    there = (x + by[..., None]).add_(shift[..., None])[:, None]  # (N, 1, H, W)
    inside = there.clone().ge_(0).mul_(there.lt_(width))  # 1 or 0: no bools, which torch chooses and converts slowly
    outside = fill[..., None, None]
    return _levels(made).sub_(outside).mul_(inside).add_(outside)


def _levels(x: Tensor) -> Tensor:
    """In place: Pillow cuts off; 1e-3: so that 41.99999 is 42."""
    return x.add_(1e-3).clamp_(0, 255).floor_()


def _reach(slide: Tensor, height: int, width: int) -> int:
    """How many pixels beyond an edge a row is taken from, at most; beyond a width of itself it has one colour."""
    furthest = (slide[:, 0].abs() * height + slide[:, 1].abs()).max()
    return min(math.ceil(float(furthest)), width) + 3


def _turn(images: Tensor, at: Tensor) -> Tensor:
    """At any places (N, 2, H, W), 0 being the first pixel: 4 x 4 pixels, by Pillow's kernel.

    It has a = -1; that of `grid_sample` has a = -3/4: pytorch/pytorch#44780.
    """
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
