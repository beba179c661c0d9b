"""Policies: how views are drawn, as values that a configuration can name and print.

Nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sslkit.augment import randaugment

COLOURS = ("brightness", "contrast", "saturation", "jitter", "grayscale", "solarize")
SHARES = ("pad", "shift", *COLOURS, "blur", "cutout", "erase")  # fields in [0, 1]


@dataclass(frozen=True)
class Policy:
    """How a view is drawn; steps in the order of the fields. As it stands, only mirroring is left."""

    pad: float = 0.0  # shift by whole pixels into a reflected border of this share of the side
    crop: float = 1.0  # random resized crop of at least this share of the area, aspect 3/4 to 4/3
    shift: float = 0.0  # shift by fractions of a pixel, at most this share of the side
    rotate: float = 0.0  # largest rotation in degrees, either way
    flip: bool | None = None  # mirrored with probability 1/2; auto: where the data set allows it
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"  # of the crop
    brightness: float = 0.0  # factor 1 - b to 1 + b; the next two alike, all three in random order
    contrast: float = 0.0
    saturation: float = 0.0
    jitter: float = 1.0  # probability of these three
    grayscale: float = 0.0  # probability
    blur: float = 0.0  # probability of a Gaussian of 0.1 to 2 pixels
    solarize: float = 0.0  # probability of inverting levels from 128 on
    randaugment: str = "none"  # fixmatch-n2, usb-n3, or as timm: rand-m9-mstd0.5-inc1
    cutout: float = 0.0  # side of a square of mid-grey, as a share of the image's
    cutout_random: bool = False  # that side is drawn, from 0 to `cutout`
    erase: float = 0.0  # probability that one box is erased
    erase_area: float = 1 / 3  # largest area of that box, as a share of the image
    erase_fill: Literal["noise", "mean"] = "noise"  # normal noise a pixel, or the mean colour

    def __post_init__(self) -> None:
        for name in ("crop", "erase_area"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"rotate must be in [0, 180] degrees, got {self.rotate}")
        if self.randaugment != "none":
            randaugment.parse(self.randaugment)


# Names for `--set views.strong=NAME`, from USB 2208.07204, FixMatch 2001.07685, Semi-ViT 2208.05688, MAE 2111.06377.
POLICIES: Mapping[str, Policy] = {
    "plain": Policy(flip=False),
    "pad_crop": Policy(pad=0.125),  # 4 pixels of 32
    "fixmatch": Policy(pad=0.125, randaugment="fixmatch-n2", cutout=0.5),
    "usb": Policy(pad=0.125, randaugment="usb-n3", cutout=0.5, cutout_random=True),
    "usb_medium": Policy(pad=0.125, randaugment="usb-n1", cutout=0.5, cutout_random=True),
    "semi_vit_weak": Policy(crop=0.08, brightness=0.4, contrast=0.4, saturation=0.4),
    "semi_vit_strong": Policy(crop=0.08, randaugment="rand-m9-mstd0.5-inc1"),
    "mae": Policy(crop=0.2),
    "simclr": Policy(crop=0.2, brightness=0.4, contrast=0.4, saturation=0.4, jitter=0.8, grayscale=0.2, blur=0.5),
}
# where nothing else is asked for
WEAK, MEDIUM, STRONG = POLICIES["pad_crop"], POLICIES["usb_medium"], POLICIES["fixmatch"]
