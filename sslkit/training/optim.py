"""Optimizers and their schedule.

The schedule has no state: a learning rate is a function of the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sslkit.machine.sharding import like, whole
from sslkit.network import Classifier
from sslkit.store.checkpoint import under


def optimizer(module: nn.Module, student: Classifier, training: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Fused AdamW or SGD for the trainable parameters of `module`, in groups of one weight decay and one `scale`.

    Norms, biases and other parameters of one dimension are not decayed, nor are those that the student names. `scale`
    is layer_decay to the power of the layers above, for the student's parameters; others have 1 (BEiT 2106.08254).
    """
    names = student.no_weight_decay()
    undecayed = {id(p) for n, p in student.named_parameters() if n in names}
    layers = student.layers()
    height = {id(p): len(layers) - 1 - i for i, layer in enumerate(layers) for p in layer}
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            scale = training["layer_decay"] ** height.get(id(parameter), 0)
            decayed = parameter.ndim > 1 and id(parameter) not in undecayed
            groups.setdefault((scale, decayed), []).append(parameter)
    decay = training["weight_decay"]
    chosen = [
        {"params": parameters, "weight_decay": decay if decayed else 0.0, "scale": scale}
        for (scale, decayed), parameters in groups.items()
    ]
    if training["optimizer"] == "sgd":
        fused = not training.get("fsdp")  # torch 2.14.1 has no fused SGD of shards
        return torch.optim.SGD(chosen, training["lr"], momentum=0.9, nesterov=True, fused=fused)
    return torch.optim.AdamW(chosen, training["lr"], (0.9, training["beta2"]), fused=True)


def optimizer_tensors(optimizers: Mapping[str, Optimizer]) -> dict[str, Tensor]:
    """The states of the optimizers, for a checkpoint; as of `Job.weights`."""
    states = {
        f"optimizer.{name}.{i}.{k}": v
        for name, chosen in optimizers.items()
        for i, state in chosen.state_dict()["state"].items()
        for k, v in state.items()
        if v is not None
    }
    return whole(states)


def restore_optimizers(optimizers: Mapping[str, Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors of `optimizer_tensors` back."""
    for name, chosen in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in under(f"optimizer.{name}.", tensors).items():
            i, _, field = key.partition(".")
            state.setdefault(int(i), {})[field] = value
        chosen.load_state_dict({"state": state, "param_groups": chosen.state_dict()["param_groups"]})
        # Fused optimizers want the parameter's memory layout, and a checkpoint's tensors are contiguous. On a GPU
        # another one is an error (pytorch/pytorch#106951); on a CPU torch 2.14.1 says nothing and takes wrong values.
        for parameter, kept in chosen.state.items():
            same = {k: like(v, parameter) for k, v in kept.items() if v.shape == parameter.shape}
            kept |= {k: torch.empty_like(parameter).copy_(v) for k, v in same.items()}


def learning_rate(index: int, steps: int, training: Mapping[str, Any]) -> float:
    """Linear warm-up over a share of the steps, then half a cosine from `lr` to `min_lr`, or FixMatch's cosine.

    Step `index` of the warm-up's n has (index + 1) / n of `lr`, so that the first one moves; Semi-ViT's code has
    index / n, one step later.
    """
    rise: int = round(training["warmup"] * steps)
    lr, end = float(training["lr"]), float(training["min_lr"])
    if index < rise:
        return lr * (index + 1) / rise
    done = (index - rise) / max(1, steps - rise)
    if training["schedule"] == "long_cosine":
        return lr * math.cos(7 * math.pi / 16 * done)
    return end + (lr - end) * 0.5 * (1 + math.cos(math.pi * done))
