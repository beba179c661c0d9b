"""Optimizers and their schedule."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def optimizer(module: nn.Module, undecayed: Collection[int], training: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Fused AdamW or SGD for the trainable parameters of `module`.

    Norms, biases and other parameters of one dimension are not decayed, nor are those whose `id` is in `undecayed`.
    """
    groups: dict[bool, list[Tensor]] = {True: [], False: []}
    for parameter in module.parameters():
        if parameter.requires_grad:
            groups[parameter.ndim > 1 and id(parameter) not in undecayed].append(parameter)
    decay = training["weight_decay"]
    chosen = [{"params": p, "weight_decay": decay if decayed else 0.0} for decayed, p in groups.items() if p]
    if training["optimizer"] == "sgd":
        return torch.optim.SGD(chosen, training["lr"], momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(chosen, training["lr"], fused=True)


def rate(index: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate: linear warm-up over a share of the steps, then half a cosine to 0."""
    rise = round(warmup * steps)
    if index < rise:
        return (index + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (index - rise) / max(1, steps - rise)))
