"""The operations of RandAugment and of colour jitter: each sample has its own operation and its own value.

Sources: Cubuk et al. 2020 (RandAugment, 1909.13719) with the arithmetic of Pillow's ImageOps and ImageEnhance.

Images are *levels*: float32 (N, 3, H, W) of whole numbers 0 to 255, which no operation has to convert. Two kinds: a
*colour* operation maps or mixes the levels of a pixel, of its neighbours or of the channels, an *affine* one moves
pixels. Values are host tensors, so that which samples need what is known without asking the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sslkit.augment.warp import Filter, alone, warp

ColourOp = Callable[[Tensor, Tensor], Tensor]  # levels (n, 3, H, W), values (n,) -> levels, a new tensor
AffineOp = Callable[[Tensor, int, int], Tensor]  # host values (n,), height, width -> host (n, 6)


@dataclass(frozen=True)
class Edge:
    """What affine operations do between and beyond pixels."""

    interpolation: Filter = "bilinear"
    fill: tuple[int, int, int] = (0, 0, 0)


def apply(images: Tensor, names: list[str], value: Tensor, edge: Edge) -> Tensor:
    """One operation on each of the levels (N, 3, H, W), a new tensor; `images` itself where no operation is named.

    Args:
        names: N names of operations; "identity" leaves an image as it is.
        value: (N,) float64 on the host, in the unit of the operation.
    """
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(name, []).append(place)
    made = images if set(groups) == {"identity"} else None
    for kinds, run in GROUPS:
        chosen = {name: places for name, places in groups.items() if name in kinds}
        if len(chosen) == len(groups) == 1:  # all alike: nothing to pick out
            return run(images, {names[0]: len(names)}, value, edge)
        if chosen:
            sizes = {name: len(places) for name, places in chosen.items()}
            made = images.clone() if made is None else made
            rows = torch.tensor([place for places in chosen.values() for place in places])
            there = rows.to(images.device, non_blocking=True)
            some = run(images.index_select(0, there), sizes, value.index_select(0, rows), edge)
            made.index_copy_(0, there, some)
    assert made is not None, f"unknown operations in {sorted(groups)}"
    return made


def _colours(images: Tensor, sizes: dict[str, int], value: Tensor, edge: Edge) -> Tensor:
    values = value.to(images.device, torch.float32, non_blocking=True)
    if len(sizes) == 1:
        return COLOURS[next(iter(sizes))](images, values)
    count = list(sizes.values())
    parts = zip(sizes, torch.split(images, count), torch.split(values, count), strict=True)
    return torch.cat([COLOURS[name](x, v) for name, x, v in parts])


def _affines(images: Tensor, sizes: dict[str, int], value: Tensor, edge: Edge) -> Tensor:
    height, width = images.shape[2:]
    values = zip(sizes, torch.split(value, list(sizes.values())), strict=True)
    matrix = torch.cat([AFFINES[name](v, height, width) for name, v in values])
    return warp(images, matrix, edge.interpolation, _outside(images, edge.fill))


def _outside(images: Tensor, fill: tuple[int, int, int]) -> Tensor:
    """(N, 3) float32, the colour of places outside; on grey images its grey level, so that they get no tint."""
    colour = torch.tensor(fill, dtype=torch.float32).to(images.device, non_blocking=True)
    level = float(round(0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2]))
    if alone(images) and not images[0, 0].equal(images[0, 1]):  # which stops at the first pixel with colour
        return colour[None]
    tint = (images.amax(1) - images.amin(1)).flatten(1).amax(1, keepdim=True)  # sooner there than a test of all
    return torch.where(tint == 0, level, colour)


def luminance(images: Tensor) -> Tensor:
    """(N, H, W) float32 whole grey levels of levels (N, 3, H, W), exactly Pillow's mode "L" (ITU-R 601-2)."""
    red, green, blue = images.unbind(1)
    return (red * (19595 / 65536)).add_(green, alpha=38470 / 65536).add_(blue, alpha=7471 / 65536).add_(0.5).floor_()


def histogram(images: Tensor) -> Tensor:
    """(N, 3, 256) int32 counts of the grey levels of (N, 3, H, W)."""
    n, channels = images.shape[:2]
    flat = images.reshape(n * channels, -1).long()
    counts = torch.zeros(n * channels, 256, device=images.device, dtype=torch.int32)
    ones = torch.ones((), device=images.device, dtype=torch.int32).expand_as(flat)
    return counts.scatter_add_(1, flat, ones).view(n, channels, 256)


def _wide(value: Tensor) -> Tensor:
    return value[:, None, None, None]


def _cut(images: Tensor) -> Tensor:
    """Whole levels of what an operation made, in place: Pillow cuts off beyond 0 and 255, and behind the point."""
    return images.clamp_(0, 255).floor_()


# Curves: each level of a channel has one that it becomes.


def brightness(images: Tensor, value: Tensor) -> Tensor:
    return _cut(images * _wide(value))


def contrast(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the rounded mean luminance."""
    rows = luminance(images).sum(2)  # whole numbers below 2^24: exact
    mean = (rows.mean(1, dtype=torch.float64).div_(images.shape[3]) + 0.5).floor().float()
    return _blend(_wide(mean), images, value)


def invert(images: Tensor, value: Tensor) -> Tensor:
    return 255 - images


def solarize(images: Tensor, value: Tensor) -> Tensor:
    """Invert the levels from a threshold of `value` upward."""
    inverted = images.clone().ge_(_wide(value))  # 1 or 0; bools take five times as long
    return inverted.mul_(255).sub_(images).abs_()


def solarize_add(images: Tensor, value: Tensor) -> Tensor:
    """Add `value` to the levels below 128."""
    return _cut(images.clone().lt_(128).mul_(_wide(value)).add_(images))


def posterize(images: Tensor, value: Tensor) -> Tensor:
    """Keep the `value` highest bits."""
    step = torch.exp2(8 - _wide(value))
    return (images / step).floor_().mul_(step)


def autocontrast(images: Tensor, value: Tensor) -> Tensor:
    """Stretch each channel from its darkest and lightest level to 0 and 255."""
    low, high = (side[..., None].double() for side in (images.amin((2, 3))[..., None], images.amax((2, 3))[..., None]))
    scale = torch.full_like(high, 255).div_((high - low).clamp_min(1))  # `255 / x` is rounded otherwise
    scale, low = torch.where(high > low, scale, 1.0), torch.where(high > low, low, 0.0)
    return _cut((images * scale).sub_(low * scale)).float()


def equalize(images: Tensor, value: Tensor) -> Tensor:
    """Map each channel so that its levels are equally frequent."""
    count = histogram(images)
    levels = torch.arange(256, device=images.device)
    filled = count > 0
    last = count.gather(2, (filled * levels).amax(2, keepdim=True))
    step = (images[0, 0].numel() - last) // 255  # (n, 3, 1)
    before = count.cumsum(2) - count + step // 2
    table = torch.where((step > 0) & (filled.sum(2, keepdim=True) > 1), before // step.clamp_min(1), levels)
    return _cut(table.float().gather(2, images.flatten(2).long()).view(images.shape))


# Mixtures of pixels or channels.


def _blend(from_: Tensor, images: Tensor, value: Tensor) -> Tensor:
    """from_ + value * (images - from_)."""
    return _cut((images - from_).mul_(_wide(value)).add_(from_))


def color(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the grey image; 0 is grey, 1 the image itself."""
    return _blend(luminance(images)[:, None], images, value)


def sharpness(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the smoothed image (3 x 3, centre 5, others 1); the outermost pixels stay."""
    smooth = images.clone()
    if min(images.shape[2:]) >= 3:
        tall = (images[:, :, :-2] + images[:, :, 1:-1]).add_(images[:, :, 2:])
        around = (tall[..., :-2] + tall[..., 1:-1]).add_(tall[..., 2:])
        smooth[:, :, 1:-1, 1:-1] = around.add_(images[:, :, 1:-1, 1:-1], alpha=4).div_(13).add_(0.5).floor_()
    return _blend(smooth, images, value)


def grayscale(images: Tensor, value: Tensor) -> Tensor:
    return luminance(images)[:, None].expand_as(images)


COLOURS: dict[str, ColourOp] = {
    f.__name__: f
    for f in (
        *(brightness, contrast, invert, solarize, solarize_add, posterize, autocontrast, equalize),
        *(color, sharpness, grayscale),
    )
}

# Affine maps, from a pixel of the result to a place in the image.


def shear_x(value: Tensor, height: int, width: int) -> Tensor:
    return _matrix(value, b=value)


def shear_y(value: Tensor, height: int, width: int) -> Tensor:
    return _matrix(value, d=value)


def translate_x(value: Tensor, height: int, width: int) -> Tensor:
    """To the left by `value` as a share of the width."""
    return _matrix(value, c=value * width)


def translate_y(value: Tensor, height: int, width: int) -> Tensor:
    """Upward by `value` as a share of the height."""
    return _matrix(value, f=value * height)


def rotate(value: Tensor, height: int, width: int) -> Tensor:
    """By `value` degrees against the clock, about the middle."""
    angle = -value * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    x, y = width / 2, height / 2
    return _matrix(value, a=cos, b=sin, c=x - cos * x - sin * y, d=-sin, e=cos, f=y + sin * x - cos * y)


def _matrix(value: Tensor, **columns: Tensor) -> Tensor:
    """(n, 6), of the identity but for the named columns."""
    zero, one = torch.zeros_like(value), torch.ones_like(value)
    identity = {"a": one, "b": zero, "c": zero, "d": zero, "e": one, "f": zero}
    return torch.stack(list((identity | columns).values()), 1)


AFFINES: dict[str, AffineOp] = {f.__name__: f for f in (shear_x, translate_x, shear_y, translate_y, rotate)}
NAMES = ("identity", *COLOURS, *AFFINES)
PLAIN = {"identity", "invert", "autocontrast", "equalize", "grayscale"}  # have no value

GROUPS: tuple[tuple[frozenset[str], Callable[..., Tensor]], ...] = (
    (frozenset(COLOURS), _colours),
    (frozenset({"shear_x", "translate_x"}), _affines),  # along one axis: a quarter of the pixels to weigh
    (frozenset({"shear_y", "translate_y"}), _affines),
    (frozenset({"rotate"}), _affines),
)
