"""Views: a plan carried out on the images' device, which is not waited for."""

from __future__ import annotations

import torch
from torch import Tensor

from sslkit.augment.boxes import Boxes
from sslkit.augment.frame import blurred, cut, moved, reframe, resized
from sslkit.augment.ops import apply
from sslkit.augment.plan import Plan, plan
from sslkit.augment.policy import Policy
from sslkit.augment.warp import alone, warp
from sslkit.randomness import Draw

GREY = 127.5  # of cutout
CHUNK = 1 << 20  # grey levels


def view(images: Tensor, policy: Policy, draw: Draw, mean: Tensor, std: Tensor) -> Tensor:
    """One view of uint8 images (N, 3, H, W): float32 (N, 3, H, W), normalised.

    Args:
        draw: uniforms on the host; image i is changed by those of its own sample and visit alone.
        mean, std: (3,), of pixels / 255.
    """
    drawn = plan(policy, draw, images.shape[2], images.shape[3])
    parts = _chunks(images)
    if len(parts) == 1:
        return render(images, drawn, policy, draw, mean, std)
    made = torch.empty(images.shape, device=images.device)
    for rows in parts:
        render(images[rows], drawn.of(rows), policy, draw.of(rows), mean, std, made[rows])
    return made


def _chunks(images: Tensor) -> list[slice]:
    """On a CPU, as many images at a time as its cache holds: larger temporaries cost ten times their arithmetic."""
    size = len(images)
    if images.device.type == "cpu" and size:
        size = 1 if alone(images[:1]) else CHUNK // images[0].numel()
    size = max(1, size)
    return [slice(first, first + size) for first in range(0, len(images), size)]


def render(
    images: Tensor, drawn: Plan, policy: Policy, draw: Draw, mean: Tensor, std: Tensor, out: Tensor | None = None
) -> Tensor:
    """Carry a plan out on uint8 images (N, 3, H, W); float32, normalised. `draw` gives the noise of erased boxes.

    Args:
        out: float32 (N, 3, H, W) that is written into.
    """
    x = _framed(images, drawn, policy)
    if drawn.sway is not None:
        x = warp(x, drawn.sway, "bilinear")
    for names, value, edge in drawn.ops:
        x = apply(x, names, value, edge)
    if drawn.blur is not None:
        x = _blurred(x, drawn.blur)
    made = normalise(x, mean, std, out)
    if drawn.cutout is not None:
        grey = ((GREY / 255 - mean) / std)[:, None, None]
        inside = drawn.cutout.mask(x.shape[2], x.shape[3], x.device)[:, None]
        torch.where(inside, grey, made, out=made)
    if drawn.erase is not None:
        _erase(made, x, drawn.erase, policy, draw)
    return made


def normalise(images: Tensor, mean: Tensor, std: Tensor, out: Tensor | None = None) -> Tensor:
    """Grey levels (N, 3, H, W) -> float32, (x / 255 - mean) / std per channel; mean, std are (3,)."""
    made = torch.div(images, 255, out=out)
    return made.sub_(mean[:, None, None]).div_(std[:, None, None])


def _framed(images: Tensor, drawn: Plan, policy: Policy) -> Tensor:
    """Levels of uint8 images: shifted, cut out, mirrored."""
    n, _, height, width = images.shape
    flip = torch.zeros(n, dtype=torch.bool) if drawn.flip is None else drawn.flip
    shift = torch.zeros(n, 2, dtype=torch.int64) if drawn.shift is None else drawn.shift
    cubic = policy.interpolation == "bicubic"
    if alone(images):
        whole = [0, 0, height, width] if drawn.crop is None else drawn.crop.box(0)
        return cut(images, shift[0].tolist(), whole, bool(flip[0]), cubic=cubic)
    flip = flip.to(images.device, non_blocking=True)
    still = torch.zeros_like(flip)
    if drawn.shift is not None or (drawn.crop is None and drawn.flip is not None):
        shift = shift.to(images.device, non_blocking=True)
        images = moved(images, shift, flip if drawn.crop is None else still)
    if drawn.crop is None:
        return images.float()
    box = drawn.crop
    sides = torch.stack([box.top, box.height, box.left, box.width]).float().to(images.device, non_blocking=True)
    rows = resized(sides[0], sides[1], height, still, cubic=cubic)
    return reframe(images, rows, resized(sides[2], sides[3], width, flip, cubic=cubic))


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    rows = _where(sigma)
    if not len(rows):
        return images
    there, wide = rows.to(images.device, non_blocking=True), sigma[rows].to(images.device, non_blocking=True)
    height, width = images.shape[2:]
    return images.index_copy(0, there, reframe(images[there], blurred(wide, height), blurred(wide, width)))


def _where(values: Tensor) -> Tensor:
    """Numbers of the entries of a host tensor that are not 0."""
    return torch.tensor([row for row, value in enumerate(values.tolist()) if value], dtype=torch.int64)


def _erase(made: Tensor, pixels: Tensor, boxes: Boxes, policy: Policy, draw: Draw) -> None:
    """In place."""
    rows = _where(boxes.height)
    if not len(rows):
        return
    some = boxes.of(rows)
    there = rows.to(made.device, non_blocking=True)
    _, channels, height, width = made.shape
    noise = torch.zeros((), device=made.device)
    if policy.erase_fill == "noise":
        u = draw.of(rows, made.device)("noise", channels * height * width)
        noise = torch.special.ndtri(u + 2**-25).view(-1, channels, height, width)
        x = pixels[there]
        grey = (x == x[:, :1]).flatten(1).all(1)[:, None, None, None]  # grey images get no colours
        noise = torch.where(grey, noise[:, :1], noise)
    made.index_copy_(0, there, torch.where(some.mask(height, width, made.device)[:, None], noise, made[there]))
