"""The operations of RandAugment and of colour jitter: each sample has its own operation and its own value.

Sources: Cubuk et al. 2020 (RandAugment, 1909.13719) with the arithmetic of Pillow's ImageOps and ImageEnhance.

Three kinds. A *table* maps the 256 grey levels of each channel, a *colour* operation mixes pixels or channels, an
*affine* one moves pixels. Values are host tensors, so that which samples need what is known without asking the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sslkit.augment.warp import Filter, warp

TableOp = Callable[[Tensor, Tensor], Tensor]  # images (n, 3, H, W), values (n,) -> (n, 3 or 1, 256) float32
ColourOp = Callable[[Tensor, Tensor], Tensor]  # images, values -> uint8 images
AffineOp = Callable[[Tensor, int, int], Tensor]  # host values (n,), height, width -> host (n, 6)


@dataclass(frozen=True)
class Edge:
    """What affine operations do between and beyond pixels."""

    interpolation: Filter = "bilinear"
    fill: tuple[int, int, int] = (0, 0, 0)


def apply(images: Tensor, names: list[str], value: Tensor, edge: Edge) -> Tensor:
    """One operation on each of uint8 images (N, 3, H, W), a new tensor.

    Args:
        names: N names of operations; "identity" leaves an image as it is.
        value: (N,) float64 on the host, in the unit of the operation.
    """
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(name, []).append(place)
    images = images.clone()
    for kinds, run in GROUPS:
        chosen = {name: places for name, places in groups.items() if name in kinds}
        if chosen:
            rows = torch.tensor([place for places in chosen.values() for place in places])
            sizes = {name: len(places) for name, places in chosen.items()}
            there = rows.to(images.device, non_blocking=True)
            made = run(images.index_select(0, there), sizes, value.index_select(0, rows), edge)
            images.index_copy_(0, there, made)
    return images


def _parts(images: Tensor, sizes: dict[str, int], value: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, images and values, float32 on the images' device, of each operation."""
    values = value.to(images.device, torch.float32, non_blocking=True)
    count = list(sizes.values())
    return zip(sizes, torch.split(images, count), torch.split(values, count), strict=True)


def _tables(images: Tensor, sizes: dict[str, int], value: Tensor, edge: Edge) -> Tensor:
    n, channels, height, width = images.shape
    made = [TABLES[name](x, v).expand(-1, channels, -1) for name, x, v in _parts(images, sizes, value)]
    table = torch.cat(made).clamp_(0, 255).to(torch.uint8).view(-1)  # cut off, as Pillow does
    first = torch.arange(n * channels, device=images.device, dtype=torch.int32) * 256
    place = images.reshape(n * channels, -1).int() + first[:, None]
    return table.index_select(0, place.view(-1)).view(n, channels, height, width)


def _colours(images: Tensor, sizes: dict[str, int], value: Tensor, edge: Edge) -> Tensor:
    return torch.cat([COLOURS[name](x, v) for name, x, v in _parts(images, sizes, value)])


def _affines(images: Tensor, sizes: dict[str, int], value: Tensor, edge: Edge) -> Tensor:
    height, width = images.shape[2:]
    values = zip(sizes, torch.split(value, list(sizes.values())), strict=True)
    matrix = torch.cat([AFFINES[name](v, height, width) for name, v in values])
    return warp(images, matrix, edge.interpolation, _outside(images, edge.fill))


def _outside(images: Tensor, fill: tuple[int, int, int]) -> Tensor:
    """(N, 3) uint8, the colour of places outside; on grey images its grey level, so that they get no tint."""
    colour = torch.tensor(fill, dtype=torch.uint8).to(images.device, non_blocking=True)
    level = round(0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2])
    grey = (images == images[:, :1]).flatten(1).all(1, keepdim=True)
    return torch.where(grey, level, colour)


def luminance(images: Tensor) -> Tensor:
    """(N, H, W) float32 whole grey levels of uint8 images, exactly Pillow's mode "L" (ITU-R 601-2)."""
    red, green, blue = images.float().unbind(1)
    return (red * 19595).add_(green, alpha=38470).add_(blue, alpha=7471).add_(0x8000).mul_(2**-16).floor_()


def histogram(images: Tensor) -> Tensor:
    """(N, 3, 256) int32 counts of grey levels of uint8 images (N, 3, H, W)."""
    n, channels = images.shape[:2]
    flat = images.reshape(n * channels, -1).long()
    counts = torch.zeros(n * channels, 256, device=images.device, dtype=torch.int32)
    ones = torch.ones((), device=images.device, dtype=torch.int32).expand_as(flat)
    return counts.scatter_add_(1, flat, ones).view(n, channels, 256)


def _levels(images: Tensor) -> Tensor:
    return torch.arange(256, device=images.device, dtype=torch.float32)[None, None]  # (1, 1, 256)


def _wide(value: Tensor) -> Tensor:
    return value[:, None, None]


# Tables.


def brightness(images: Tensor, value: Tensor) -> Tensor:
    return _levels(images) * _wide(value)


def contrast(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the rounded mean luminance."""
    mean = (luminance(images).mean((1, 2), dtype=torch.float64) + 0.5).floor().float()[:, None, None]
    return mean + (_levels(images) - mean) * _wide(value)


def invert(images: Tensor, value: Tensor) -> Tensor:
    return 255 - _levels(images) + 0 * _wide(value)


def solarize(images: Tensor, value: Tensor) -> Tensor:
    """Invert the levels from a threshold of `value` upward."""
    level = _levels(images)
    return torch.where(level < _wide(value), level, 255 - level)


def solarize_add(images: Tensor, value: Tensor) -> Tensor:
    """Add `value` to the levels below 128."""
    level = _levels(images)
    return torch.where(level < 128, level + _wide(value), level)


def posterize(images: Tensor, value: Tensor) -> Tensor:
    """Keep the `value` highest bits."""
    step = torch.exp2(8 - _wide(value))
    return (_levels(images) / step).floor() * step


def autocontrast(images: Tensor, value: Tensor) -> Tensor:
    """Stretch each channel from its darkest and lightest level to 0 and 255."""
    flat = images.flatten(2)
    low, high = flat.amin(2, keepdim=True).double(), flat.amax(2, keepdim=True).double()
    level = _levels(images).double()
    scale = torch.full_like(high, 255).div_((high - low).clamp_min(1))  # `255 / x` is rounded otherwise
    return torch.where(high > low, (level * scale - low * scale).floor(), level).float()


def equalize(images: Tensor, value: Tensor) -> Tensor:
    """Map each channel so that its levels are equally frequent."""
    count = histogram(images)
    filled = count > 0
    last = count.gather(2, (filled * torch.arange(256, device=images.device)).amax(2, keepdim=True))
    step = (images[0, 0].numel() - last) // 255  # (n, 3, 1)
    before = count.cumsum(2) - count + step // 2
    table = before // step.clamp_min(1)
    return torch.where((step > 0) & (filled.sum(2, keepdim=True) > 1), table.float(), _levels(images))


TABLES: dict[str, TableOp] = {
    f.__name__: f for f in (brightness, contrast, invert, solarize, solarize_add, posterize, autocontrast, equalize)
}

# Colours.


def _blend(from_: Tensor, images: Tensor, value: Tensor) -> Tensor:
    """from_ + value * (images - from_), cut off as Pillow does."""
    made = (images - from_).mul_(value[:, None, None, None]).add_(from_)
    return made.clamp_(0, 255).to(torch.uint8)


def color(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the grey image; 0 is grey, 1 the image itself."""
    return _blend(luminance(images)[:, None], images, value)


def sharpness(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the smoothed image (3 x 3, centre 5, others 1); the outermost pixels stay."""
    x = images.float()
    smooth = x.clone()
    if min(x.shape[2:]) >= 3:
        tall = x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:]
        around = tall[..., :-2] + tall[..., 1:-1] + tall[..., 2:]
        smooth[:, :, 1:-1, 1:-1] = around.add_(x[:, :, 1:-1, 1:-1], alpha=4).div_(13).add_(0.5).floor_()
    return _blend(smooth, images, value)


def grayscale(images: Tensor, value: Tensor) -> Tensor:
    return luminance(images)[:, None].to(torch.uint8).expand_as(images)


COLOURS: dict[str, ColourOp] = {f.__name__: f for f in (color, sharpness, grayscale)}

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
NAMES = ("identity", *TABLES, *COLOURS, *AFFINES)
PLAIN = {"identity", "invert", "autocontrast", "equalize", "grayscale"}  # have no value

GROUPS: tuple[tuple[frozenset[str], Callable[..., Tensor]], ...] = (
    (frozenset(TABLES), _tables),
    (frozenset(COLOURS), _colours),
    (frozenset({"shear_x", "translate_x"}), _affines),  # along one axis: a quarter of the pixels to weigh
    (frozenset({"shear_y", "translate_y"}), _affines),
    (frozenset({"rotate"}), _affines),
)
