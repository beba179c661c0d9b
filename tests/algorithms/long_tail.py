"""Methods in float64 on labels of uneven classes, one of which has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sslkit.contracts import Batch, PseudoLabels
from sslkit.network import Output
from tests.algorithms import tiny
from tests.algorithms.make import algorithm, setup
from tests.algorithms.tiny import Tiny

CASES = [(3, 6, 5), (1, 1, 2), (1, 2, 100)]  # labelled and unlabelled images, classes


def counts_of(classes: int) -> list[int]:
    """Of 5 classes 8, 5, 3, 1, 0: falling, and the last class has no label."""
    return [round(8 * 0.6**c) for c in range(classes - 1)] + [0]


def tailed(name: str, classes: int = 5, request: Mapping[str, Any] | None = None, **about: Any) -> Any:
    """An algorithm in float64 around `Tiny`, with the labels of `counts_of`."""
    counts = torch.tensor(about.pop("counts", counts_of(classes)))
    made = setup(Tiny(classes, **about.pop("network", {})), classes=classes, class_counts=counts, **about)
    torch.manual_seed(5)
    return algorithm(name, made, request).double()


def drawn(name: str, labeled: int, unlabeled: int, classes: int, seed: int = 0) -> Batch:
    """As `tiny.drawn`; the balanced stream has labels as well."""
    made = dict(tiny.drawn(name, labeled, unlabeled, classes, seed))
    if "balanced" in made:
        n = len(made["balanced"].index)
        made["balanced"] = replace(made["balanced"], label=(torch.arange(n) * 2 + 1) % classes)
    return made


def of(*rows: tuple[float, ...]) -> Output:
    """The output of these probabilities, float64; features are the logits, and both have a gradient."""
    z = torch.tensor(rows, dtype=torch.float64).log().requires_grad_()
    return Output(z, z)


def weighed(*weights: float, classes: int, label: int = 0) -> PseudoLabels:
    """Labels of one class with these weights."""
    w = torch.tensor(weights, dtype=torch.float64)
    return PseudoLabels(torch.eye(classes, dtype=torch.float64)[[label] * len(w)], w, w)


def shares_of(counts: list[int]) -> list[float]:
    """Of the labels, where a class without one counts as if it had one."""
    filled = [max(1, n) for n in counts]
    return [n / sum(filled) for n in filled]


def adjusted(z: Tensor, offset: list[float]) -> Tensor:
    return z + torch.tensor(offset, dtype=torch.float64)


def logs(p: list[float]) -> list[float]:
    return [math.log(x) for x in p]


def best(p: Tensor) -> tuple[int, float]:
    """The likeliest class and its probability."""
    c = max(range(len(p)), key=lambda k: p[k].item())
    return c, p[c].item()
