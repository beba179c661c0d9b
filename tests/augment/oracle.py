"""What an operation does to one image, by Pillow and timm."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from PIL import Image, ImageEnhance, ImageOps
from timm.data import auto_augment as timm_ops

from sslkit.augment.ops import Edge

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

PLAIN: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda image, value: ImageEnhance.Brightness(image).enhance(value),
    "color": lambda image, value: ImageEnhance.Color(image).enhance(value),
    "contrast": lambda image, value: ImageEnhance.Contrast(image).enhance(value),
    "sharpness": lambda image, value: ImageEnhance.Sharpness(image).enhance(value),
    "autocontrast": lambda image, value: ImageOps.autocontrast(image),
    "equalize": lambda image, value: ImageOps.equalize(image),
    "grayscale": lambda image, value: image.convert("L").convert("RGB"),
    "invert": lambda image, value: ImageOps.invert(image),
    "posterize": lambda image, value: ImageOps.posterize(image, int(value)),
    "solarize": lambda image, value: ImageOps.solarize(image, int(value)),
    "solarize_add": lambda image, value: timm_ops.solarize_add(image, int(value)),
}
MOVING = {
    "rotate": timm_ops.rotate,
    "shear_x": timm_ops.shear_x,
    "shear_y": timm_ops.shear_y,
    "translate_x": timm_ops.translate_x_rel,
    "translate_y": timm_ops.translate_y_rel,
}
# The values that RandAugment draws.
RANGES = {
    **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), (0.05, 1.95)),
    "posterize": (1, 8),
    "solarize": (0, 256),
    "solarize_add": (0, 110),
    "rotate": (-30, 30),
    **dict.fromkeys(("shear_x", "shear_y"), (-0.3, 0.3)),
    **dict.fromkeys(("translate_x", "translate_y"), (-0.45, 0.45)),
}
WHOLE = ("posterize", "solarize", "solarize_add")


def reference(name: str, image: Image.Image, value: float, edge: Edge) -> Image.Image:
    if name in MOVING:
        return MOVING[name](image, value, resample=RESAMPLING[edge.interpolation], fillcolor=_fill(image, edge.fill))
    return PLAIN[name](image, value)


def _fill(image: Image.Image, fill: tuple[int, int, int]) -> tuple[int, int, int]:
    """The colour of places outside; an image without colour has the grey of it."""
    red, green, blue = image.split()
    if not red.tobytes() == green.tobytes() == blue.tobytes():
        return fill
    grey = cast("int", Image.new("RGB", (1, 1), fill).convert("L").getpixel((0, 0)))
    return (grey,) * 3
