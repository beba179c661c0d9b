"""Crop, resize, shift, mirror, blur: whatever treats rows and columns apart, as a few weighted pixels along each axis.

Resizing is Pillow's: its coefficients, cut off at the crop's border, and grey levels between the two passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.augment.warp import cubic as kernel

BLUR_REACH = 8  # pixels either way: four standard deviations of the widest blur


@dataclass(frozen=True)
class Taps:
    """Each place along one axis of the result is a weighted sum of T places along that axis of the image."""

    index: Tensor  # (N, out, T) int64
    weight: Tensor  # (N, out, T) float32


def reframe(images: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Grey levels (N, C, H, W) -> float32 levels (N, C, h, w): columns first, then rows, rounded after each, as in
    Pillow."""
    x = _sum(images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format), columns)  # N, w, C, H
    x = _sum(_levels(x).transpose(1, 3), rows)  # (N, h, C, w)
    return _levels(x).transpose(1, 2).contiguous()


def cut(image: Tensor, shift: Sequence[int], box: Sequence[int], flip: bool, *, cubic: bool) -> Tensor:
    """One uint8 image (1, C, H, W) on a CPU: shifted as by `moved`, a box of it at the image's size, mirrored; levels.

    Args:
        shift: pixels down and right.
        box: top, left, height, width.
    """
    for axis, pixels in zip((2, 3), shift, strict=True):
        if pixels:
            size = image.shape[axis]
            image = image.index_select(axis, _reflect(torch.arange(size) + pixels, size))
    top, left, high, wide = box
    part = image[:, :, top : top + high, left : left + wide]
    if part.shape != image.shape:
        part = scaled(part.contiguous(), image.shape[2:], cubic=cubic)
    return (part.flip(3) if flip else part).float()


def scaled(image: Tensor, size: Sequence[int], *, cubic: bool) -> Tensor:
    """One uint8 image (1, C, H, W) on a CPU, in any layout, at height and width `size`.

    Pillow's `resize` by torch's own kernel, several times as fast as `reframe` or Pillow; its weights have 16 bits, so
    that a few levels are another by one, seldom by more.
    """
    kind = "bicubic" if cubic else "bilinear"
    return F.interpolate(image, list(size), mode=kind, antialias=True, align_corners=False)


def _levels(x: Tensor) -> Tensor:
    return x.add_(0.5).floor_().clamp_(0, 255)


def _sum(x: Tensor, taps: Taps) -> Tensor:
    """Weighted sums over the second axis of (N, places, …)."""
    n, size = x.shape[:2]
    first = torch.arange(n, device=x.device)[:, None, None] * size
    index = (taps.index + first).flatten(0, 1)
    weight = taps.weight.flatten(0, 1)
    made = F.embedding_bag(index, x.reshape(n * size, -1), mode="sum", per_sample_weights=weight)
    return made.view(n, taps.index.shape[1], *x.shape[2:])


def moved(images: Tensor, shift: Tensor, flip: Tensor) -> Tensor:
    """Cut uint8 images (N, C, H, W) out of their reflected surroundings, `shift` further down and right; then mirror.

    Args:
        shift: (N, 2) int64 pixels, less than the side.
        flip: (N,) bool.
    """
    n, channels, height, width = images.shape
    row = _reflect(torch.arange(height, device=images.device) + shift[:, :1], height)  # (N, H)
    column = _reflect(_mirrored(width, flip) + shift[:, 1:], width)
    first = torch.arange(n, device=images.device)[:, None] * height
    place = (first + row)[..., None] * width + column[:, None]  # (N, H, W)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)
    return pixels.index_select(0, place.view(-1)).view(n, height, width, channels).permute(0, 3, 1, 2).contiguous()


def resized(first: Tensor, length: Tensor, size: int, flip: Tensor, *, cubic: bool) -> Taps:
    """Resize pixels `first` to `first + length` of `size` to `size` pixels.

    Args:
        first, length: (N,) whole numbers, float32, on the device of the images.
        flip: (N,) bool, mirrored.
    """
    at = (_mirrored(size, flip) + 0.5) * (length / size)[:, None] - 0.5  # (N, size), from `first`; at most 1 a pixel
    low = at.floor()
    d = at - low
    weight = kernel(d, -0.5) if cubic else torch.stack([1 - d, d])  # (T, N, size)
    tap = low + torch.arange(-1 if cubic else 0, 3 if cubic else 2, device=at.device)[:, None, None]
    weight = weight.masked_fill_((tap < 0) | (tap >= length[:, None]), 0.0)
    index = (tap + first[:, None]).clamp_(0, size - 1).long()
    return Taps(index.permute(1, 2, 0), (weight / weight.sum(0)).permute(1, 2, 0))


def blurred(sigma: Tensor, size: int) -> Taps:
    """A Gaussian of standard deviation sigma (N,) pixels, reflected at the edges."""
    reach = min(size - 1, BLUR_REACH)
    tap = torch.arange(-reach, reach + 1, device=sigma.device)
    weight = torch.exp(-0.5 * (tap / sigma[:, None]).square())  # (N, T)
    weight = (weight / weight.sum(1, keepdim=True))[:, None]
    index = _reflect(torch.arange(size, device=sigma.device)[:, None] + tap, size)
    return Taps(index.expand(len(sigma), -1, -1), weight.expand(-1, size, -1))


def _mirrored(size: int, flip: Tensor) -> Tensor:
    """(N, size) numbers of places, from the end where `flip` (N,)."""
    place = torch.arange(size, device=flip.device)
    return torch.where(flip[:, None], size - 1 - place, place)


def _reflect(at: Tensor, size: int) -> Tensor:
    """Places beyond an edge mirrored back once, the outermost pixel not repeated."""
    return size - 1 - (size - 1 - at.abs()).abs()
