"""Detectors, one for each class, written as loops, and heads and batches to work an example by hand with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sslkit.contracts import Batch, Stream
from tests.algorithms.tiny import mean, softmax


def detected(head: Any, f: Tensor) -> list[Tensor]:
    """o_c of features (D,): the second of each pair says that the image is of class c."""
    rows = head.pairs.weight
    n = len(rows) // 2
    return [softmax(torch.stack([(rows[c] * f).sum(), (rows[n + c] * f).sum()]))[1] for c in range(n)]


def ova(o: list[Tensor], y: int) -> Tensor:
    return -o[y].log() + max(-(1 - o[c]).log() for c in range(len(o)) if c != y)


def heat(o: list[Tensor]) -> Tensor:
    return mean([-x * x.log() - (1 - x) * (1 - x).log() for x in o])


def odds(*rows: tuple[float, ...]) -> Tensor:
    """d of these o_c."""
    return torch.tensor(rows, dtype=torch.float64).logit()


class Always(nn.Module):
    """The same d for all images and classes."""

    def __init__(self, d: float) -> None:
        super().__init__()
        self.d = d

    def forward(self, f: Tensor) -> Tensor:
        return torch.full_like(f, self.d)


class Even(nn.Module):
    """Logits 0 for C + 1 classes."""

    def forward(self, f: Tensor) -> Tensor:
        return f.new_zeros(len(f), f.shape[1] + 1)


def given_by(weak: Tensor, strong: Tensor) -> Batch:
    views = {"weak": weak, "weak2": weak, "strong": strong}
    x = Stream({"weak": weak[:1], "weak2": weak[:1]}, torch.arange(1), torch.tensor([0]))
    return {"labeled": x, "unlabeled": Stream(views, torch.arange(len(weak)))}
