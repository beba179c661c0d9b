"""RandAugment as the SSL code bases have it: which operations are drawn, how often, and how strong.

What an operation does to pixels is not here but in `ops`. Places beyond the border are mid-grey at once in `FIXMATCH`;
in google-research/fixmatch they are black and transparent, and mid-grey in the end if no operation made them opaque.

Source: Cubuk et al. 2020 (1909.13719); tables of timm's increasing set, of google-research/fixmatch and of USB.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

import torch
from torch import Tensor

from sslkit.augment.ops import Edge
from sslkit.randomness import Draw


@dataclass(frozen=True)
class Op:
    """value = base + sign * slope * v / 10 for a magnitude v of 0 to 10."""

    name: str
    base: float = 0.0
    slope: float = 0.0
    signed: bool = False  # the sign is drawn; else it is +
    whole: bool = False  # slope * v / 10 is cut off to a whole number
    least: float = -math.inf


@dataclass(frozen=True)
class RandAugment:
    """`n` operations drawn with replacement, each applied with `probability`.

    `magnitude` is the distribution of v: "normal" N(mean, std) cut off to 0..10; "whole" one of 1..9; "uniform" 0..10.
    """

    ops: tuple[Op, ...]
    n: int
    probability: float
    magnitude: Literal["normal", "whole", "uniform"]
    edge: Edge
    mean: float = 0.0
    std: float = 0.0

    def draw(self, draw: Draw) -> list[tuple[list[str], Tensor]]:
        """For each of the n operations: their names (N,), "identity" where not applied, and values (N,) float64."""
        u = draw("randaugment", 4 * self.n).double().view(-1, self.n, 4)
        op = (u[..., 0] * len(self.ops)).long()  # (N, n)
        base, slope, signed, whole, least = self._columns[:, op]
        change = slope * self._magnitudes(u[..., 2]) / 10
        change = torch.where(whole > 0, change.trunc(), change)
        negative = (signed > 0) & (u[..., 3] < 0.5)
        value = torch.maximum(base + torch.where(negative, -change, change), least)
        names = [*(o.name for o in self.ops), "identity"]
        drawn = op.masked_fill_(u[..., 1] >= self.probability, -1).t().tolist()
        return [([names[i] for i in slot], v) for slot, v in zip(drawn, value.unbind(1), strict=True)]

    @cached_property
    def _columns(self) -> Tensor:
        """(5, ops) base, slope, signed, whole, least."""
        rows = [(o.base, o.slope, o.signed, o.whole, o.least) for o in self.ops]
        return torch.tensor(rows, dtype=torch.float64).t()

    def _magnitudes(self, u: Tensor) -> Tensor:
        if self.magnitude == "uniform":
            return 10 * u
        if self.magnitude == "whole":
            return 1 + (9 * u).floor()
        normal: Tensor = torch.special.ndtri(u.clamp_min(2**-25))
        return (self.mean + self.std * normal).clamp(0, 10)


_MOVES = [Op("shear_x", 0, 0.3, True), Op("shear_y", 0, 0.3, True)]

TIMM_OPS = (
    Op("autocontrast"),
    Op("equalize"),
    Op("invert"),
    Op("rotate", 0, 30, True),
    Op("posterize", 4, -4, whole=True),
    Op("solarize", 256, -256, whole=True),
    Op("solarize_add", 0, 110, whole=True),
    *(Op(name, 1, 0.9, True, least=0.1) for name in ("color", "contrast", "brightness", "sharpness")),
    *_MOVES,
    *(Op(name, 0, 0.45, True) for name in ("translate_x", "translate_y")),
)
FIXMATCH_OPS = (
    *(Op(name) for name in ("autocontrast", "equalize", "identity")),
    *(Op(name, 0.1, 1.8) for name in ("brightness", "color", "contrast", "sharpness")),
    Op("posterize", 4, -4, whole=True),
    Op("rotate", 0, 30, True, whole=True),
    *_MOVES,
    Op("solarize", 256, -256, whole=True),
    *(Op(name, 0, 10 / 32, True) for name in ("translate_x", "translate_y")),  # v pixels of 32
)
USB_OPS = (
    *(Op(name) for name in ("autocontrast", "equalize", "identity")),
    *(Op(name, 0.05, 0.9) for name in ("brightness", "color", "contrast", "sharpness")),
    Op("posterize", 4, 4, whole=True),
    Op("rotate", -30, 60),
    *(Op(name, -0.3, 0.6) for name in ("shear_x", "shear_y", "translate_x", "translate_y")),
    Op("solarize", 0, 256),
)
IMAGENET_GREY = (124, 116, 104)
TIMM = RandAugment(TIMM_OPS, 2, 0.5, "normal", Edge("bicubic", IMAGENET_GREY), 9.0)
FIXMATCH = RandAugment(FIXMATCH_OPS, 2, 0.5, "whole", Edge("nearest", (128, 128, 128)))
USB = RandAugment(USB_OPS, 3, 1.0, "uniform", Edge("nearest"))


@cache
def parse(text: str) -> RandAugment:
    """The RandAugment that a text names: `fixmatch`, `usb`, with `-nN` for another n, or timm's `rand-m9-mstd0.5-inc1`.

    Raises:
        ValueError: it names none.
    """
    name, *sections = text.split("-")
    found = [re.fullmatch(r"(n|mstd|m|p|inc)(\d+\.?\d*)", section) for section in sections]
    known = {match[1]: float(match[2]) for match in found if match}
    allowed = {"fixmatch": {"n"}, "usb": {"n"}, "rand": {"n", "m", "mstd", "p", "inc"}}.get(name, set())
    n = int(known.get("n", 0)) or None
    if not allowed or not all(found) or set(known) - allowed or (name == "rand" and not known.get("inc")):
        raise ValueError(f"randaugment must be none, fixmatch-n2, usb-n3 or as rand-m9-mstd0.5-inc1, got {text!r}")
    if name != "rand":
        base = {"fixmatch": FIXMATCH, "usb": USB}[name]
        return replace(base, n=n or base.n)
    mean, std = min(known.get("m", 10.0), 10.0), known.get("mstd", 0.0)
    return replace(TIMM, n=n or 2, mean=mean, std=std, probability=min(known.get("p", 0.5), 1.0))
