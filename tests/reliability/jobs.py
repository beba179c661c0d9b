"""Stages of the digits made ready to train, without a command line."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from sslkit.machine import Machine
from sslkit.prepare import Prepared, prepare
from sslkit.record.stages import stages
from sslkit.training.engine import Engine
from sslkit.training.stage import Job, build
from tests.algorithms.make import needed, stepping

ALGORITHMS = ("supervised", "fixmatch", "flexmatch", "mean_teacher", "ema_teacher")
MORE = tuple(name for name in stepping() if name not in ALGORITHMS)  # a new one is tested by being there
STEPS = 13
SETTINGS = {
    **{"finetune.steps": 1, "semi.steps": STEPS, "semi.batch": 8, "semi.mu": 2, "semi.lr": 3e-3},
    **{"control.run": False, "eval.decay": 0.8, "threads": 1},
}
# Networks this young reject some images at it.
TAU = dict.fromkeys(("fixmatch", "flexmatch", "ema_teacher", "pseudo_label", "uda", "refixmatch", "defixmatch"), 0.2)
TAU |= dict.fromkeys(("fullmatch", "shrinkmatch", "crmatch", "debiaspl"), 0.2)
TAU |= dict.fromkeys(("abc", "udal", "adello", "saw", "cossl", "daso", "darp"), 0.2)
OWN: dict[str, dict[str, Any]] = {
    "comatch": {"algo.bank": 48, "algo.tau": 0.2},  # full after two steps
    "regmixmatch": {"algo.sure": 0.2},
    "finessl": {"algo.tau": 0.2},
    "noisy_student": {"algo.tau": 0.15},
    "sequencematch": {"algo.tau": 0.2, "labeler.tau": 0.2},
    "iomatch": {"algo.tau": 0.2},
    "ssb": {"algo.tau": 0.2},
    "prosub": {"algo.tau": 0.2},
    "simmatch": {"algo.tau": 0.2, "data.labels": "4/class"},  # all labelled images are seen
    "simmatchv2": {"algo.tau": 0.1, "data.labels": "4/class", "algo.queue": 60},
}


@cache
def _prepared(settings: tuple[tuple[str, Any], ...]) -> Prepared:
    return prepare(dict(settings))


def job(algorithm: str, backbone: str = "vit_micro", *, world: int = 1, **also: Any) -> Job:
    """The semi stage of an algorithm, from initial weights; `also` are keys with `__` for the dot."""
    settings = SETTINGS | {"algo": algorithm, "backbone": backbone}
    settings |= {"labeler.tau": TAU[algorithm]} if algorithm in TAU else {}
    settings |= OWN.get(algorithm, {}) | needed(algorithm)
    settings |= {key.replace("__", "."): value for key, value in also.items()}
    prepared = _prepared(tuple(settings.items()))
    spec = stages(prepared, Machine("cpu", "fp32", 1))[-1].spec
    return build(spec, prepared.images, prepared.split, None, world)


def train(job: Job, folder: Path, **keys: Any) -> Path:
    """Train to the end (or to `stop`), a checkpoint at every log interval; the last checkpoint."""
    folder.mkdir(exist_ok=True, parents=True)
    Engine(job, folder, save_every=0, **keys).train()
    return folder / f"checkpoint-{STEPS:09d}.safetensors"
