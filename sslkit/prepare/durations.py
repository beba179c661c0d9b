"""How long a stage is: epochs and images, once the sizes of its streams are known, as steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from sslkit.config import Config, Training
from sslkit.data.splits import Split

T = TypeVar("T", bound=Training)


def in_steps(config: Config, split: Split) -> Config:
    """The configuration with the steps that `epochs` or `images` come to; a stage drops an unfilled last batch.

    It is dropped once, at the end: epochs follow each other within a batch (Semi-ViT's code drops one an epoch).
    Of `finetune` they count labelled images, of `semi` those of the pool, of `pretrain` both.
    """
    labeled, pool = len(split.labeled), len(split.pool)
    return replace(
        config,
        pretrain=_stage(config.pretrain, len(np.union1d(split.labeled, split.pool)), config.pretrain.batch),
        finetune=_stage(config.finetune, labeled, config.finetune.batch),
        semi=_stage(config.semi, pool, config.semi.batch * config.semi.mu),
    )


def _stage(training: T, size: int, batch: int) -> T:
    if training.images is not None:
        return replace(training, steps=max(1, training.images // batch))
    if training.epochs is not None:
        return replace(training, steps=max(1, int(training.epochs * size) // batch))
    return training
