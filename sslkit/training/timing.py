"""How long stages will take: three steps of each, on copies that are thrown away."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sslkit.data import Images
from sslkit.data.splits import Split
from sslkit.errors import UserError
from sslkit.machine import description, ranks
from sslkit.machine.allocator import keeping
from sslkit.store.files import write_text
from sslkit.training.engine import Engine
from sslkit.training.log import Log
from sslkit.training.spec import Spec
from sslkit.training.stage import build, build_algorithm, feasible


@dataclass(frozen=True)
class Seconds:
    """Of one step, and what of it draws and augments the views."""

    step: float
    views: float
    before: bool = False  # they were measured for an earlier run


def step_seconds(specs: Sequence[Spec], images: Images, split: Split, kept: Path | None = None) -> dict[str, Seconds]:
    """Key -> seconds of one step, of stages that have any. Stages that do the same work a step are timed once.

    Args:
        kept: folder where times are kept for the next run that does this work on this machine.

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
    file = kept / f"steps-{_digest(description())}.json" if kept else None
    known = _read(file)
    there = len(known)
    found: dict[str, Seconds] = {}
    for spec in specs:
        training = {k: v for k, v in spec.training.items() if k not in ("steps", "lr", "warmup", "weight_decay")}
        if "skip_rejected" in training:
            training["skip_rejected"] = "off"  # before training nothing would be kept, and the time too short
        size = spec.data["size"], len(spec.data["classes"]), isinstance(images.pixels, np.ndarray)
        work = _digest([spec.parts, training, spec.views, *size, spec.device, spec.precision, spec.threads])
        if work not in known:
            fresh = replace(spec, training=spec.training | training, parent="")
            known[work] = _time(fresh, images, split)
        found[spec.key] = known[work]
    if file and len(known) > there:
        with suppress(OSError, UserError):  # no room: timed again the next time
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps({work: [each.step, each.views] for work, each in known.items()}))
    return found


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _read(file: Path | None) -> dict[str, Seconds]:
    with suppress(OSError, ValueError, TypeError, AttributeError):  # not there, or damaged
        text = file.read_text("utf-8") if file else "{}"
        return {work: Seconds(float(step), float(views), True) for work, (step, views) in json.loads(text).items()}
    return {}


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
    with feasible(spec), keeping(spec.device), trial(spec, images, split) as (engine, step):
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
