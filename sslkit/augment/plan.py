"""What a policy does to each of N images, drawn on the host, so that it is known without asking the device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sslkit.augment import randaugment
from sslkit.augment.boxes import BOX_DRAWS, Boxes, crop_boxes, cutout_boxes, erase_boxes
from sslkit.augment.ops import PLAIN, Edge, rotate
from sslkit.augment.policy import Policy
from sslkit.randomness import Draw

Slot = tuple[list[str], Tensor, Edge]  # an operation's name and value for each of N images


@dataclass(frozen=True)
class Plan:
    """What was drawn for N images, on the host; None or an empty list is a step that the policy lacks."""

    crop: Boxes | None = None
    shift: Tensor | None = None  # (N, 2) int64, pixels down and right
    flip: Tensor | None = None  # (N,) bool
    sway: Tensor | None = None  # (N, 6) affine map with reflected edges
    ops: list[Slot] = field(default_factory=list)  # names and values of N, one after another
    blur: Tensor | None = None  # (N,) standard deviation in pixels, 0 is none
    cutout: Boxes | None = None
    erase: Boxes | None = None

    def of(self, rows: slice) -> Plan:
        """The same for some of the images."""
        return Plan(
            self.crop and self.crop.of(rows),
            _rows(self.shift, rows),
            _rows(self.flip, rows),
            _rows(self.sway, rows),
            [(names[rows], value[rows], edge) for names, value, edge in self.ops],
            _rows(self.blur, rows),
            self.cutout and self.cutout.of(rows),
            self.erase and self.erase.of(rows),
        )

    def describe(self, row: int) -> list[str]:
        """What was drawn for one image, in the order in which it is done."""
        said = []
        if self.shift is not None:
            said.append("window {:+d} down, {:+d} right".format(*self.shift[row].tolist()))
        if self.crop is not None:
            said.append(f"crop {self.crop.describe(row)}")
        if self.flip is not None and self.flip[row]:
            said.append("mirrored")
        if self.sway is not None:
            said.append(f"turned {math.degrees(math.atan2(self.sway[row, 3], self.sway[row, 0])):+.1f} degrees, moved")
        used = [(names[row], float(value[row])) for names, value, _ in self.ops]
        said += [name if name in PLAIN else f"{name} {value:.3g}" for name, value in used if name != "identity"]
        if self.blur is not None and self.blur[row]:
            said.append(f"blur {self.blur[row]:.1f} px")
        for name, boxes in (("cutout", self.cutout), ("erased", self.erase)):
            if boxes is not None and boxes.height[row]:
                said.append(f"{name} {boxes.describe(row)}")
        return said


def _rows(drawn: Tensor | None, rows: slice) -> Tensor | None:
    return None if drawn is None else drawn[rows]


def plan(policy: Policy, draw: Draw, height: int, width: int) -> Plan:
    """Draw from a policy for images of height x width."""
    n = len(draw.sample)
    crop = crop_boxes(draw("crop", BOX_DRAWS), height, width, policy.crop) if policy.crop < 1 else None
    shift = None
    if policy.pad:
        pads = torch.tensor([min(round(policy.pad * side), side - 1) for side in (height, width)])
        shift = (draw("pad", 2) * (2 * pads + 1)).long() - pads
    return Plan(
        crop,
        shift,
        draw("flip", 1)[:, 0] < 0.5 if policy.flip else None,
        _sway(policy, draw, height, width) if policy.shift or policy.rotate else None,
        _ops(policy, draw),
        _sometimes(draw("blur", 2), policy.blur, 0.1, 2.0) if policy.blur else None,
        cutout_boxes(draw("cutout", 2), height, width, _sides(policy, draw, n, height, width))
        if policy.cutout
        else None,
        _erase_boxes(policy, draw, height, width) if policy.erase else None,
    )


def _sometimes(u: Tensor, probability: float, low: float, high: float) -> Tensor:
    """(N,) uniform from low to high with the probability, else 0; u is (N, 2)."""
    return torch.where(u[:, 0] < probability, low + (high - low) * u[:, 1], 0.0)


def _sway(policy: Policy, draw: Draw, height: int, width: int) -> Tensor:
    u = 2 * draw("sway", 3).double() - 1
    matrix = rotate(u[:, 0] * policy.rotate, height, width)
    matrix[:, 2] += u[:, 1] * policy.shift * width
    matrix[:, 5] += u[:, 2] * policy.shift * height
    return matrix


def _ops(policy: Policy, draw: Draw) -> list[Slot]:
    slots = []
    strengths = {"brightness": policy.brightness, "contrast": policy.contrast, "color": policy.saturation}
    strengths = {name: s for name, s in strengths.items() if s}
    if strengths:
        slots += _jitter(strengths, policy.jitter, draw)
    for name, probability in (("grayscale", policy.grayscale), ("solarize", policy.solarize)):
        if probability:
            u = draw(name, 1)[:, 0]
            names = [name if hit else "identity" for hit in (u < probability).tolist()]
            slots.append((names, torch.full((len(u),), 128.0, dtype=torch.float64), Edge()))
    if policy.randaugment != "none":
        chosen = randaugment.parse(policy.randaugment)
        slots += [(names, value, chosen.edge) for names, value in chosen.draw(draw)]
    return slots


def _jitter(strengths: Mapping[str, float], probability: float, draw: Draw) -> list[Slot]:
    """Each operation once, in an order of each sample's own."""
    k = len(strengths)
    u = draw("jitter", 2 * k + 1).double()
    names = list(strengths)
    factor = 1 + (2 * u[:, :k] - 1) * torch.tensor([strengths[name] for name in names], dtype=torch.float64)
    order = u[:, k : 2 * k].argsort(1)  # (N, k)
    hit = (u[:, -1] < probability).tolist()
    values = factor.gather(1, order).unbind(1)
    turns = order.t().tolist()
    return [
        ([names[i] if h else "identity" for i, h in zip(turn, hit, strict=True)], value, Edge())
        for turn, value in zip(turns, values, strict=True)
    ]


def _sides(policy: Policy, draw: Draw, n: int, height: int, width: int) -> Tensor:
    share = draw("cutout_side", 1)[:, 0] if policy.cutout_random else torch.ones(n)
    return (share * policy.cutout * min(height, width)).round().long()


def _erase_boxes(policy: Policy, draw: Draw, height: int, width: int) -> Boxes:
    boxes = erase_boxes(draw("erase", BOX_DRAWS), height, width, policy.erase_area)
    hit = draw("erase_hit", 1)[:, 0] < policy.erase
    return Boxes(boxes.top, boxes.left, boxes.height * hit, boxes.width * hit)
