"""Schedule and groups of the optimizer against the published formulas (facts of Semi-ViT's fine-tuning)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sslkit.network import Shape
from sslkit.training.optim import learning_rate, optimizer
from tests.algorithms.make import Small, network

TRAINING: dict[str, Any] = {
    **{"lr": 2.0, "min_lr": 0.1, "warmup": 0.1, "weight_decay": 0.05},
    **{"schedule": "half_cosine", "optimizer": "adamw", "beta2": 0.999, "layer_decay": 0.65},
}


def test_warm_up_and_half_cosine() -> None:
    rates = [learning_rate(i, 100, TRAINING) for i in range(100)]
    for i, found in enumerate(rates):
        expected = 2 * (i + 1) / 10 if i < 10 else 0.1 + 1.9 * 0.5 * (1 + math.cos(math.pi * (i - 10) / 90))
        assert found == pytest.approx(expected)
    assert max(rates) == pytest.approx(2.0)
    assert 0.1 < rates[-1] < 0.102


def test_fixmatchs_cosine() -> None:
    chosen = TRAINING | {"schedule": "long_cosine", "warmup": 0.0}
    for i in range(0, 1000, 37):
        assert learning_rate(i, 1000, chosen) == pytest.approx(2 * math.cos(7 * math.pi * i / (16 * 1000)))


def test_layers_of_a_vit_are_scaled_by_their_height() -> None:
    """id 0: patch projection, class token, positions; id b + 1: block b; the last one: norm and head."""
    student = Small(Shape(8, 5))
    made = optimizer(student, student, TRAINING)
    scale = {id(p): group["scale"] for group in made.param_groups for p in group["params"]}
    depth = 2
    for full_name, parameter in student.named_parameters():
        name = full_name.removeprefix("model.")
        if name.startswith("blocks."):
            layer = int(name.split(".")[1]) + 1
        else:
            layer = 0 if name.startswith(("patch_embed", "cls_token", "pos_embed")) else depth + 1
        assert scale[id(parameter)] == pytest.approx(0.65 ** (depth + 1 - layer)), name


def test_every_parameter_is_in_one_group_and_decayed_by_its_shape() -> None:
    student = network()
    made = optimizer(student, student, TRAINING)
    listed = [id(p) for group in made.param_groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in student.parameters())
    tokens = {"model.cls_token", "model.pos_embed"}
    decay = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    for name, parameter in student.named_parameters():
        assert decay[id(parameter)] == (0.0 if parameter.ndim < 2 or name in tokens else 0.05), name
    assert made.param_groups[0]["betas"] == (0.9, 0.999)


def test_networks_without_layers_have_one_scale() -> None:
    student = network("wrn")
    made = optimizer(student, student, TRAINING | {"optimizer": "sgd"})
    assert {group["scale"] for group in made.param_groups} == {1.0}
    assert isinstance(made, torch.optim.SGD)
