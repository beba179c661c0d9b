"""What must hold on a GPU: the CPU's pixels, mixtures and steps, going on exactly, and no wait within a step.

Without a GPU they are skipped; with SSLKIT_GPU_TESTS=cpu they compare the CPU with itself, which shows that they run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit.augment import POLICIES, Draw, view
from sslkit.contracts import PseudoLabels
from sslkit.errors import Stopped
from sslkit.machine import Machine
from sslkit.prepare import prepare
from sslkit.randomness import Step
from sslkit.record.stages import stages
from sslkit.training.engine import Engine
from sslkit.training.log import Log
from sslkit.training.stage import build
from tests.algorithms.make import built_in, images, labels, part, setup, stepping
from tests.augment.pictures import photos
from tests.kernel.make import TINY
from tests.reliability.jobs import OWN

DEVICE = os.environ.get("SSLKIT_GPU_TESTS", "cuda")
pytestmark = pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a GPU")


def engine(folder: Path, device: str, **request: Any) -> Engine:
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    prepared = prepare(TINY | {"device": device} | {k.replace("__", "."): v for k, v in request.items()})
    spec = next(s.spec for s in stages(prepared, Machine(device, "fp32", 1)) if s.label == "semi")
    return Engine(build(spec, prepared.images, prepared.split, None), folder)


@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize("name", POLICIES)
def test_views_on_a_gpu(name: str, size: int) -> None:
    """Within a grey level, but for the few places whose coordinate is rounded to the other side."""
    x, zero, one = photos(12, size, size), torch.zeros(3), torch.ones(3) / 255
    draw = Draw(3, torch.arange(12), torch.zeros(12, dtype=torch.int64))
    here = view(x, POLICIES[name], draw, zero, one)
    there = view(x.to(DEVICE), POLICIES[name], draw, zero.to(DEVICE), one.to(DEVICE)).cpu()
    off = (here - there).abs()
    assert float((off > 2.01).float().mean()) < 1e-3
    assert float(off.mean()) < 0.2


@pytest.mark.parametrize("algorithm", stepping())
def test_steps_on_a_gpu_are_those_of_the_cpu(algorithm: str, tmp_path: Path) -> None:
    found = []
    for k, device in enumerate(("cpu", DEVICE)):
        one = engine(tmp_path / str(k), device, algo=algorithm, **OWN.get(algorithm, {}))
        log = Log(tmp_path / str(k), 0, 0)
        one.algorithm.train()
        for index in range(3):
            one.step(index, log)
        log.close()
        found.append({name: tensor.cpu() for name, tensor in one.job.weights().items()})
    here, there = found
    for name, tensor in here.items():
        torch.testing.assert_close(there[name], tensor, rtol=2e-3, atol=2e-4, msg=name)


@pytest.mark.parametrize("name", built_in("mixer"))
@pytest.mark.parametrize("confidences", [[0.91, 0.33, 0.57, 0.11], [0.5] * 6, [0.0, 0.91, 0.0]])
def test_mixers_on_a_gpu(name: str, confidences: list[float]) -> None:
    given, x = labels(confidences), images(len(confidences), 8, 9)
    mixer = part("mixer", name, setup())
    moved = PseudoLabels(given.target.to(DEVICE), given.weight.to(DEVICE), given.confidence.to(DEVICE))
    for index in range(4):
        here, there = mixer.mix(x, given, Step(index, 20, 11)), mixer.mix(x.to(DEVICE), moved, Step(index, 20, 11))
        torch.testing.assert_close(there.images.cpu(), here.images, rtol=0, atol=1e-5)
        torch.testing.assert_close(there.labels.target.cpu(), here.labels.target, rtol=0, atol=1e-6)
        torch.testing.assert_close(there.labels.weight.cpu(), here.labels.weight, rtol=0, atol=1e-6)


def test_going_on_on_a_gpu_is_exact(tmp_path: Path) -> None:
    whole = engine(tmp_path / "whole", DEVICE, algo="ema_teacher", semi__steps=12)
    whole.train()
    asked = iter([False] * 4 + [True] + [False] * 20)
    first = engine(tmp_path / "parts", DEVICE, algo="ema_teacher", semi__steps=12)
    first.stop = lambda: next(asked)
    with pytest.raises(Stopped):
        first.train()
    second = engine(tmp_path / "parts", DEVICE, algo="ema_teacher", semi__steps=12)
    second.train()
    for name, tensor in whole.job.weights().items():
        assert torch.equal(second.job.weights()[name], tensor), name


@pytest.mark.parametrize("algorithm", stepping())
def test_a_step_on_a_gpu_waits_for_nothing(algorithm: str, tmp_path: Path) -> None:
    one = engine(tmp_path, DEVICE, algo=algorithm, **OWN.get(algorithm, {}))
    one.algorithm.train()
    log = Log(tmp_path, 0, 0)
    one.step(0, log)
    if DEVICE == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        one.step(1, log)
    finally:
        if DEVICE == "cuda":
            torch.cuda.set_sync_debug_mode("default")
