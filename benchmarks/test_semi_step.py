"""A semi step (ema_teacher x prob_pseudo, 16 + 48 images), its shares, and a plain loop of the same maths.

    python -m pytest benchmarks/test_semi_step.py -m "" -s

An image counts once a step: 64 images. Shares are timed on a CPU, where every call ends when its work is done.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.augment.render import view
from sslkit.config import Config
from sslkit.config.resolve import SLOTS, named, resolve
from sslkit.data import Images
from sslkit.data.image import Array
from sslkit.data.splits import Split
from sslkit.machine import Machine
from sslkit.randomness import Draw
from sslkit.training.engine import Engine
from sslkit.training.log import Log
from sslkit.training.spec import specify
from sslkit.training.stage import Job, build

CASES = {"vit_micro": 8, "vit_tiny": 32, "wrn_28_2": 32, "vit_small": 224}  # backbone -> pixels
BATCH, MU, THREADS = 16, 3, 2
IMAGES = BATCH * (1 + MU)
CPU = Machine("cpu", "fp32", THREADS)


class Colour:
    """Stands for a data set that may be mirrored."""

    flip = True
    mean = std = (0.5, 0.5, 0.5)


class Alike(Images):
    """Images of which there is one: any number of them takes no memory."""

    def subset(self, index: Array) -> Tensor:
        return torch.from_numpy(self.pixels[:1]).expand(len(index), -1, -1, -1)


def make_job(
    backbone: str, size: int, machine: Machine = CPU, *, classes: int = 10, pool: int = 1000, **more: Any
) -> Job:
    """A semi job on random pixels, all of whose strong views are kept; `more` settings, None takes one away.

    A large pool is of one image.
    """
    request = named(
        {
            "backbone.name": backbone,
            "semi.batch": BATCH,
            "semi.mu": MU,
            "semi.steps": 1000,
            "semi.skip_rejected": "off",
            "labeler.tau": 0.0,
            "views.weak": "semi_vit_weak",
            "views.strong": "semi_vit_strong",
        }
        | more
    )
    request = {key: value for key, value in request.items() if value is not None}
    config: Config = resolve(request, Colour, lambda: backbone)
    draw, n = np.random.default_rng(0), 200 + pool
    pixels = draw.integers(0, 256, (min(n, 1200), 3, size, size), dtype=np.uint8)
    label = draw.integers(0, classes, n)
    kind = Images if n == len(pixels) else Alike
    images = kind(pixels, label, n - 100, [str(c) for c in range(classes)], "noise", [""] * len(pixels))
    split = Split(np.arange(100), np.arange(100, n - 100), np.arange(0), np.arange(n - 100, n))
    parts = {s: p for s in ("algo", *SLOTS) if (p := getattr(config, s))}
    return build(specify(config, "semi", parts, config.semi, "", images, split, machine), images, split, None)


@contextmanager
def timed(
    owner: Any, method: str, seconds: dict[str, float], name: str, clock: Callable[[], float] = time.perf_counter
) -> Iterator[None]:
    """Add up the time that is spent in a method."""
    original: Callable[..., Any] = getattr(owner, method)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = clock()
        try:
            return original(*args, **kwargs)
        finally:
            seconds[name] = seconds.get(name, 0.0) + clock() - start

    setattr(owner, method, wrapper)
    try:
        yield
    finally:
        setattr(owner, method, original)


@contextmanager
def peak_memory(found: dict[str, Any]) -> Iterator[None]:
    """Largest resident memory above that at the start, in MB, sampled every millisecond."""
    done = threading.Event()
    statm, page = Path("/proc/self/statm"), 4096
    start = int(statm.read_text().split()[1]) * page
    found["peak_mb"] = 0.0

    def watch() -> None:
        while not done.wait(0.001):
            now = int(statm.read_text().split()[1]) * page
            found["peak_mb"] = max(found["peak_mb"], (now - start) / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def shares(engine: Engine, log: Log, steps: int) -> dict[str, float]:
    """Share of a step's time by what it is spent on; "student" is all that is not named."""
    algorithm: Any = engine.algorithm
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    with (
        timed(engine.job.loader, "batch", seconds, "views"),
        timed(algorithm.teacher, "predict", seconds, "teacher"),
        timed(algorithm.mixer, "mix", seconds, "mixer"),
        timed(engine, "update", seconds, "optimizer + EMA"),
        timed(algorithm, "after_step", seconds, "optimizer + EMA"),
    ):
        for index in range(steps):
            engine.step(index, log)
    total = time.perf_counter() - start
    found = {name: spent / total for name, spent in seconds.items()}
    return found | {"student and rest": 1 - sum(found.values())}


class Plain:
    """The same maths as a straight-line loop, without registry, engine, log or keyed draws."""

    def __init__(self, job: Job) -> None:
        self.student = copy.deepcopy(job.algorithm.student).train()
        self.teacher = copy.deepcopy(self.student).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.student.parameters(), 1e-3, weight_decay=0.05, fused=True)
        self.sources, self.loader = job.loader.sources, job.loader
        self.policies = job.loader.views

    def draw(self, stream: str, n: int) -> tuple[dict[str, Tensor], Tensor | None]:
        source = self.sources[stream]
        index = torch.randint(len(source.pixels), (n,))
        pixels = source.pixels[index]
        draws = Draw(int(torch.randint(1 << 40, ())), index, torch.zeros_like(index))
        made = {
            name: view(pixels, policy, draws, self.loader.mean, self.loader.std)
            for name, policy in self.policies[stream].items()
        }
        return made, None if source.label is None else source.label[index]

    def step(self) -> None:
        x, y = self.draw("labeled", BATCH)
        u, _ = self.draw("unlabeled", BATCH * MU)
        assert y is not None
        with torch.no_grad():
            confidence, guess = self.teacher(u["weak"]).p.max(1)
            target = F.one_hot(guess, 10) * 0.9 + 0.01
            strong, n = u["strong"], len(guess)
            j = torch.randperm(n)
            lam = confidence / (confidence + confidence[j])
            root = (1 - lam).sqrt()
            height = strong.shape[2]
            half, at = (height * root).floor().long() // 2, (torch.rand(2, n) * height).long()
            place = torch.arange(height)
            rows, columns = (
                (place >= (a - half).clamp_min(0)[:, None]) & (place < (a + half).clamp_max(height)[:, None])
                for a in at
            )
            box = (rows[:, :, None] & columns[:, None, :]).float()
            cut = torch.rand(n) < 0.5
            share = torch.where(cut, 1 - box.mean((1, 2)), lam)
            keep = torch.where(cut[:, None, None], 1 - box, lam[:, None, None])[:, None]
            mixed = torch.lerp(strong[j], strong, keep)
            target = torch.lerp(target[j], target, share[:, None])
        loss = F.cross_entropy(self.student(x["weak"]).logits, y)
        loss = loss + 5 * F.cross_entropy(self.student(mixed).logits, target)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad()
        torch._foreach_lerp_([*self.teacher.parameters()], [*self.student.parameters()], 0.1)


@pytest.mark.parametrize("backbone", CASES)
@pytest.mark.parametrize("code", ["sslkit", "plain"])
def test_semi_step(benchmark: Any, tmp_path: Path, backbone: str, code: str) -> None:
    torch.set_num_threads(THREADS)
    job = make_job(backbone, CASES[backbone])
    rounds = {"vit_micro": 30, "vit_small": 2}.get(backbone, 6)
    if code == "plain":
        plain = Plain(job)
        with peak_memory(benchmark.extra_info):
            benchmark.pedantic(plain.step, rounds=rounds, warmup_rounds=2)
    else:
        engine, log = Engine(job, tmp_path), Log(tmp_path, 0, 0)
        engine.algorithm.train()
        with peak_memory(benchmark.extra_info):
            benchmark.pedantic(engine.step, args=(0, log), rounds=rounds, warmup_rounds=2)
        benchmark.extra_info["shares"] = shares(engine, log, rounds)
        log.close()
    if benchmark.stats:  # absent with --benchmark-disable
        benchmark.extra_info["images_per_s"] = IMAGES / benchmark.stats["median"]
        print(f"\n{code:7} {backbone:10} {describe(benchmark)}")


def describe(benchmark: Any) -> str:
    info, stats = benchmark.extra_info, benchmark.stats
    text = f"{info['images_per_s']:7.0f} images/s  {1000 * stats['median']:7.1f} ms a step  {info['peak_mb']:5.0f} MB"
    return text + "".join(f"  {name} {share:.1%}" for name, share in info.get("shares", {}).items())
