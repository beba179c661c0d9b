"""The maths of the parts, slow and obvious: Python floats, one sample, class or pixel at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Row = list[float]
Box = tuple[int, int, int, int]  # top, bottom, left, right; the ends are outside


def softmax(logits: Row) -> Row:
    largest = max(logits)
    powers = [math.exp(z - largest) for z in logits]
    return [power / sum(powers) for power in powers]


def cross_entropy(target: Row, logits: Row) -> float:
    """H(target, softmax(logits))."""
    largest = max(logits)
    log_sum = largest + math.log(sum(math.exp(z - largest) for z in logits))
    return -sum(q * (z - log_sum) for q, z in zip(target, logits, strict=True))


def smoothed(label: int, classes: int, eps: float) -> Row:
    return [1 - eps + eps / classes if c == label else eps / classes for c in range(classes)]


def guess(p: Row) -> tuple[int, float]:
    """The first most probable class, and its probability."""
    best = 0
    for c, probability in enumerate(p):
        if probability > p[best]:
            best = c
    return best, p[best]


class Curriculum:
    """FlexMatch's memory of one class for each unlabelled image, -1 where none was learned."""

    def __init__(self, images: int, classes: int, tau: float, warmup: bool) -> None:
        self.memory, self.classes, self.tau, self.warmup = [-1] * images, classes, tau, warmup

    def threshold(self, c: int) -> float:
        counts = [self.memory.count(k) for k in range(self.classes)]
        most = max(*counts, self.memory.count(-1)) if self.warmup else max(counts)
        beta = counts[c] / most if most else 0.0
        return self.tau * beta / (2 - beta)

    def update(self, index: list[int], label: list[int], confidence: Row) -> None:
        for i, y, o in zip(index, label, confidence, strict=True):
            if o >= self.tau:
                self.memory[i] = y


def published_box(lam: float, at_y: float, at_x: float, height: int, width: int) -> Box:
    """Side 2 * floor(floor(H * sqrt(1 - lam)) / 2) about a uniformly drawn pixel, clipped to the image."""
    root = math.sqrt(1 - lam)
    y, x = int(at_y * height), int(at_x * width)
    half_y, half_x = int(height * root) // 2, int(width * root) // 2
    return max(y - half_y, 0), min(y + half_y, height), max(x - half_x, 0), min(x + half_x, width)


def unbiased_box(lam: float, u: Row, height: int, width: int) -> Box:
    """Inside the image; each side is rounded up with the probability of its fraction."""
    root = math.sqrt(1 - lam)
    side_y, side_x = (math.floor(length * root + r) for length, r in ((height, u[2]), (width, u[3])))
    top, left = int(u[0] * (height - side_y + 1)), int(u[1] * (width - side_x + 1))
    return top, top + side_y, left, left + side_x


def kept_area(box: Box, height: int, width: int) -> float:
    top, bottom, left, right = box
    return 1 - (bottom - top) * (right - left) / (height * width)


@dataclass
class Mix:
    """What is mixed and what comes out, one sample after the other."""

    images: Tensor  # (N, 3, H, W)
    target: Tensor  # (N, C)
    kind: str = "published"

    def __post_init__(self) -> None:
        self.out_images, self.out_target = self.images.double().clone(), self.target.double().clone()

    def pair(self, i: int, j: int, lam: float, cut: bool, u: Row) -> None:
        """Image i with a share of image j: blended, or with a box of j pasted in."""
        height, width = self.images.shape[2:]
        mine, other = self.images[i].double(), self.images[j].double()
        if cut:
            if self.kind == "published":
                box = published_box(lam, u[0], u[1], height, width)
            else:
                box = unbiased_box(lam, u, height, width)
            lam = kept_area(box, height, width)
            for y in range(box[0], box[1]):
                for x in range(box[2], box[3]):
                    self.out_images[i, :, y, x] = other[:, y, x]
        else:
            self.out_images[i] = lam * mine + (1 - lam) * other
        self.out_target[i] = lam * self.target[i].double() + (1 - lam) * self.target[j].double()


def prob_pseudo_ratio(mine: float, other: float) -> float:
    return mine / (mine + other) if mine + other > 0 else 0.5


def tensor(rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)
