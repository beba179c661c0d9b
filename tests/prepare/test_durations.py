"""Epochs and images, in steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sslkit.errors import UserError
from sslkit.prepare import prepare

BASE = {"backbone": "vit_micro", "data.labels": "10/class", "stages": "pretrain,finetune,semi"}  # 100 and 900 images
SIZES = {"pretrain.batch": 128, "finetune.batch": 16, "semi.batch": 8, "semi.mu": 4}


@pytest.mark.parametrize(
    ("key", "value", "steps"),
    [
        ("finetune.epochs", 3, 300 // 16),
        ("finetune.epochs", 0.01, 1),
        ("finetune.images", 1000, 1000 // 16),
        ("semi.epochs", 2, 1800 // 32),
        ("semi.images", 5000, 5000 // 32),
        ("pretrain.epochs", 10, 10000 // 128),
        ("pretrain.images", 1, 1),
    ],
)
def test_steps_of_a_stage(key: str, value: float, steps: int) -> None:
    stage = key.partition(".")[0]
    prepared = prepare(BASE | SIZES | {key: value})
    assert getattr(prepared.config, stage).steps == steps
    others = {"pretrain", "finetune", "semi"} - {stage}
    plain = prepare(BASE | SIZES)
    assert all(getattr(prepared.config, s) == getattr(plain.config, s) for s in others)


def test_the_stored_configuration_comes_to_the_same() -> None:
    once = prepare(BASE | SIZES | {"semi.epochs": 2})
    again = prepare(BASE | SIZES | {"semi.epochs": 2, "semi.steps": once.config.semi.steps})
    assert again.config == once.config
    assert replace(once.config.semi, epochs=None).steps == once.config.semi.steps


def test_epochs_and_images_exclude_each_other() -> None:
    with pytest.raises(UserError, match="exclude"):
        prepare(BASE | {"semi.epochs": 2, "semi.images": 10})
