"""How long stages will take: three steps of each, on copies that are thrown away."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from sslkit.data import Images
from sslkit.data.splits import Split
from sslkit.machine import ranks
from sslkit.training.engine import Engine
from sslkit.training.log import Log
from sslkit.training.spec import Spec
from sslkit.training.stage import build, build_algorithm, feasible


@dataclass(frozen=True)
class Seconds:
    """Of one step, and what of it draws and augments the views."""

    step: float
    views: float


def step_seconds(specs: Sequence[Spec], images: Images, split: Split) -> dict[str, Seconds]:
    """Key -> seconds of one step, of stages that have any. Stages that do the same work a step are timed once.

    With several processes there is no step of one alone: the stages are put together, so that what cannot be is said
    before anything is trained, and nothing is timed.
    """
    for spec in specs:
        if spec.fitted:
            build_algorithm(replace(spec, parent=""), None)  # it takes no step, and may refuse what it is given
    specs = [spec for spec in specs if not spec.fitted]
    if ranks.count() > 1:
        for spec in specs:
            with feasible(spec):
                build(replace(spec, parent=""), images, split, None, ranks.count())
        return {}
    known: dict[str, Seconds] = {}
    found: dict[str, Seconds] = {}
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


@contextmanager
def trial(spec: Spec, images: Images, split: Split) -> Iterator[tuple[Engine, Callable[[int], None]]]:
    """The engine of a stage in a folder that is thrown away, and what takes the step of a given number."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(build(spec, images, split, None), Path(folder))
        engine.algorithm.train()
        log = Log(engine.folder, 0, 0)
        yield engine, partial(engine.step, log=log)
        log.close()


def _time(spec: Spec, images: Images, split: Split) -> Seconds:
    with feasible(spec), trial(spec, images, split) as (engine, step):
        micro = range(spec.training["accumulate"])
        return Seconds(
            step=_fastest(step, spec.device),
            views=_fastest(lambda index: [engine.job.loader.batch(index, m) for m in micro], spec.device),
        )


def _fastest(work: Callable[[int], object], device: str) -> float:
    """Seconds, of three times: the first ones also warm up."""
    seconds = []
    for index in range(3):
        start = time.perf_counter()
        work(index)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
