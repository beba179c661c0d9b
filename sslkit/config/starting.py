"""Defaults of a run that starts from pretrained weights, with a probe; without one it has those of other runs.

Mixing is not among them: in so few steps from few labels it did harm.

How they were chosen: docs/results/real_start.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sslkit.config import Flat

NOTHING = (None, "auto", "none")  # values of the key `weights` that name no weights
_STAGE: Flat = {"batch": 16, "lr": 1e-4, "weight_decay": 0.01, "warmup": 0.1}
FROM_WEIGHTS: Flat = {
    "stages": "probe,finetune,semi",  # LP-FT: the head that fine-tuning starts with is that of the probe
    **{f"{stage}.{name}": value for stage in ("finetune", "semi") for name, value in _STAGE.items()},
    "finetune.steps": 150,
    "semi.steps": 300,
    "semi.mu": 3,
    "algo.lambda_u": 1.0,
    "labeler.tau": 0.8,
}


MIXER = "none"  # where an algorithm has one


def starts_with_probe(request: Mapping[str, Any]) -> bool:
    """Whether a request starts from weights, and `probe` is among its stages, which it is unless others are named."""
    stages = str(request.get("stages", "probe"))
    return request.get("weights") not in NOTHING and "probe" in stages and "pretrain" not in stages


def unmixed(request: Mapping[str, Any]) -> str:
    """Why images of a request are not mixed unless a mixer is named, or ""."""
    several = "images with several labels" if request.get("data.multilabel") else ""
    return several or ("a start from weights" if starts_with_probe(request) else "")


def from_weights(algorithm: Mapping[str, Any]) -> Flat:
    """These defaults, with the stages that the defaults of an algorithm ask for: a fitted one needs no others."""
    return FROM_WEIGHTS | {key: value for key, value in algorithm.items() if key == "stages"}
