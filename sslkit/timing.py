"""How long stages will take: three steps of each, on copies that are thrown away."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from sslkit.data import Images
from sslkit.engine import Engine
from sslkit.log import Log
from sslkit.spec import Spec
from sslkit.splits import Split
from sslkit.stage import build, enough_memory


def step_seconds(specs: Sequence[Spec], images: Images, split: Split) -> dict[str, float]:
    """Key -> seconds of one step. Stages that do the same work a step are timed once."""
    known: dict[str, float] = {}
    found: dict[str, float] = {}
    for spec in specs:
        training = {k: v for k, v in spec.training.items() if k not in ("steps", "lr", "warmup", "weight_decay")}
        if "skip_rejected" in training:
            training["skip_rejected"] = "off"  # before training nothing would be kept, and the time too short
        work = json.dumps([spec.parts, training])
        if work not in known:
            fresh = replace(spec, training=spec.training | training, parent="")
            known[work] = _time(fresh, images, split)
        found[spec.key] = known[work]
    return found


def _time(spec: Spec, images: Images, split: Split) -> float:
    """The fastest of three steps: the first ones also warm up."""
    with enough_memory(spec), tempfile.TemporaryDirectory() as folder:
        engine = Engine(build(spec, images, split, None), Path(folder))
        engine.algorithm.train()
        log = Log(engine.folder, 0, 0)
        seconds = []
        for index in range(3):
            start = time.perf_counter()
            engine.step(index, log)
            if spec.device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        log.close()
    return min(seconds)
