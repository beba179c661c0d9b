"""Small images and engines for tests of the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from sslkit.data import Images
from sslkit.machine import Machine
from sslkit.prepare import Prepared, prepare
from sslkit.record.stages import stages
from sslkit.training.engine import Engine
from sslkit.training.stage import Job, build

CPU = Machine("cpu", "fp32", 1)
TINY = {
    "backbone": "vit_micro",
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
    "control.run": False,
    "finetune.steps": 3,
    "finetune.batch": 8,
    "semi.steps": 3,
    "semi.batch": 8,
}


def images(counts: list[int], test: int = 4, unlabeled: int = 0) -> Images:
    """Training images of classes of these sizes, then hidden ones, then a test part of the first class."""
    label = np.concatenate([np.repeat(np.arange(len(counts)), counts), np.full(unlabeled, -1)])
    label = np.concatenate([label, np.zeros(test, int)]).astype(np.int64)
    pixels = np.random.default_rng(0).integers(0, 256, (len(label), 3, 8, 8), dtype=np.uint8)
    names = [str(i) for i in range(len(label))]
    return Images(pixels, label, len(label) - test, [f"class {c}" for c in range(len(counts))], "-", names)


def job(stage: str = "semi", **request: Any) -> Job:
    """A stage of a tiny run, from fresh weights; `__` in a keyword stands for the dot."""
    return job_of(prepare(TINY | {key.replace("__", "."): value for key, value in request.items()}), stage)


def job_of(prepared: Prepared, stage: str = "semi") -> Job:
    torch.set_num_threads(1)
    spec = next(s.spec for s in stages(prepared, CPU) if s.label == stage)
    return build(spec, prepared.images, prepared.split, None)


def engine(folder: Path, stage: str = "semi", **request: Any) -> Engine:
    return Engine(job(stage, **request), folder)
