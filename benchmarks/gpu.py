"""What a GPU shows, each part with a budget: tests, views a second, semi steps, FixMatch on CIFAR-10. See `gpu.sh`."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.augmentation import pictures
from benchmarks.test_semi_step import make_job
from sslkit.augment import POLICIES, Draw, view
from sslkit.data import IMAGENET_MEAN, IMAGENET_STD
from sslkit.machine import Machine, description
from sslkit.prepare import prepare
from sslkit.record.stages import stages
from sslkit.training.engine import Engine
from sslkit.training.evaluation import logits, scores
from sslkit.training.log import Log
from sslkit.training.stage import build

BUDGETS = {"tests": 90.0, "views": 30.0, "steps": 240.0, "fixmatch": 150.0}  # seconds
PEAK = 989e12  # FLOP/s of an H100's or H200's dense bf16 products
STEPS: list[tuple[str, int, dict[str, Any]]] = [  # backbone, pixels, settings
    ("vit_base", 224, {"semi.batch": 16, "semi.mu": 5}),
    ("vit_base", 224, {"semi.batch": 32, "semi.mu": 5, "compile": True}),
    ("vit_small", 224, {"semi.batch": 16, "semi.mu": 5}),
    ("vit_small", 224, {"semi.batch": 64, "semi.mu": 5, "compile": True}),
    ("vit_large", 224, {"semi.batch": 16, "semi.mu": 5, "grad_checkpoint": True}),
    ("wrn_28_2", 32, {"semi.batch": 64, "semi.mu": 7}),
    ("wrn_28_2", 32, {"semi.batch": 64, "semi.mu": 7, "compile": True}),
]
DRY: list[tuple[str, int, dict[str, Any]]] = [
    ("vit_micro", 8, {"semi.batch": 4, "semi.mu": 2}),
    ("wrn_10_1", 8, {"semi.batch": 4, "semi.mu": 2, "grad_checkpoint": True}),
]
FULL = 1 << 20  # steps of FixMatch's published schedule


class Part:
    """Rows of one part, written as each is there.

    Args:
        budget: seconds for all of it.
    """

    def __init__(self, out: Path, name: str, budget: float, dry: bool) -> None:
        self.file, self.dry, self.end = out / f"{name}.json", dry, time.monotonic() + (600 if dry else budget)
        self.device = "cpu" if dry else "cuda"
        self.rows: list[dict[str, Any]] = []

    @property
    def left(self) -> float:
        return self.end - time.monotonic()

    def add(self, **row: Any) -> None:
        self.rows.append(row)
        self.file.write_text(json.dumps({"machine": description(), "dry": self.dry, "rows": self.rows}, indent=1))

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def tests(part: Part, data: str | None) -> None:
    """The CUDA tests of the suite; on a CPU they compare it with itself."""
    env = os.environ | ({"SSLKIT_GPU_TESTS": "cpu"} if part.dry else {})
    files = ["tests/device/test_gpu.py"] + ([] if part.dry else ["tests/augment", "tests/kernel/test_randomness.py"])
    chosen = "gpu and not step or ema_teacher" if part.dry else "gpu"  # steps of all algorithms on a GPU alone
    call = [sys.executable, "-m", "pytest", "-m", "", "-k", chosen, "-p", "no:cacheprovider", *files]
    try:
        done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=part.left, check=False)
    except subprocess.TimeoutExpired as late:
        part.add(result=f"cut off after {late.timeout:.0f} s", said=(late.stdout or b"").decode()[-2000:])
        return
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    part.add(result=done.stdout.strip().splitlines()[-1], failed=failed, returned=done.returncode)


def views(part: Part, data: str | None) -> None:
    """Weak and strong views of Semi-ViT; an image counts once for both."""
    mean, std = (torch.tensor(x, device=part.device) for x in (IMAGENET_MEAN, IMAGENET_STD))
    for size, batch in ((8, 16), (16, 8)) if part.dry else ((32, 448), (32, 4096), (224, 96), (224, 512)):
        images = pictures(16, size)[torch.arange(batch) % 16].to(part.device)
        policies = [replace(POLICIES[name], flip=True) for name in ("semi_vit_weak", "semi_vit_strong")]

        def work(step: int, images: torch.Tensor = images, policies: Any = policies, batch: int = batch) -> None:
            draw = Draw(step, torch.arange(batch), torch.zeros(batch, dtype=torch.int64))
            for policy in policies:
                view(images, policy, draw, mean, std)

        seconds = _seconds(part, work, 2.0)
        part.add(size=size, batch=batch, images_a_second=round(batch / seconds))


def steps(part: Part, data: str | None) -> None:
    """Semi steps of the EMA-Teacher with probabilistic pseudo mixup, all strong views kept, views inside."""
    machine = Machine(part.device, "fp32" if part.dry else "bf16", 1 if part.dry else 4)
    for backbone, size, more in DRY if part.dry else STEPS:
        if part.left < (60 if "compile" in more else 20) and not part.dry:
            part.add(backbone=backbone, size=size, settings=more, skipped="no time left")
            continue
        with _engine(backbone, size, more, machine) as (engine, log):
            flops = _flops(part, engine, log, compiled="compile" in more)
            if part.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            seconds = _seconds(part, partial(_step, engine, log), min(8.0, part.left / 2))
            images = engine.spec.images_a_step
            memory = torch.cuda.max_memory_allocated() / 2**30 if part.device == "cuda" else None
            used = None if flops is None else round(flops / seconds / PEAK, 4)
            row = {"images_a_second": round(images / seconds, 1), "ms": round(1e3 * seconds, 2), "of_peak": used}
            part.add(backbone=backbone, size=size, settings=more, **row, gib=memory, waits=_waits(part, engine, log))


def _step(engine: Engine, log: Log, index: int) -> None:
    engine.step(index, log)


@contextmanager
def _engine(backbone: str, size: int, more: dict[str, Any], machine: Machine) -> Iterator[tuple[Engine, Log]]:
    with tempfile.TemporaryDirectory() as folder:
        engine, log = Engine(make_job(backbone, size, machine, **more), Path(folder)), Log(Path(folder), 0, 0)
        engine.algorithm.train()
        try:
            yield engine, log
        finally:
            log.close()
            del engine
            gc.collect()


def _flops(part: Part, engine: Engine, log: Log, *, compiled: bool) -> float | None:
    """Of a step: products and convolutions; None where a compiled step hides them."""
    if compiled:
        return None
    with FlopCounterMode(display=False) as counter:
        engine.step(0, log)
    return float(counter.get_total_flops())


def _waits(part: Part, engine: Engine, log: Log) -> str:
    """Whether a step waits for the GPU, by torch's own detector."""
    if part.device != "cuda":
        return "not asked on a CPU"
    torch.cuda.set_sync_debug_mode("error")
    try:
        engine.step(1, log)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "never"


def _seconds(part: Part, work: Callable[[int], None], budget: float) -> float:
    """Of one call, the mean after two that warm up."""
    work(0)
    work(1)
    part.wait()
    start, done = time.perf_counter(), 0
    while done < 3 or (time.perf_counter() - start < budget and not part.dry):
        work(2 + done)
        done += 1
        if done % 5 == 0:
            part.wait()
    part.wait()
    return (time.perf_counter() - start) / done


def fixmatch(part: Part, data: str | None) -> None:
    """CIFAR-10 with 250 labels by WRN-28-2 for the time that is left, and what the full schedule would take."""
    from sslkit.recipes import layers

    request: dict[str, Any] = {"device": part.device, "semi.skip_rejected": "off", "data.name": data or "digits"}
    small = {"backbone": "wrn_10_1", "data.size": 8, "semi.batch": 4, "semi.mu": 2, "data.labels": "4/class"}
    request |= small if part.dry else {}
    if not part.dry and data is None:
        part.add(skipped="no --data parquet:CIFAR10 was given")
        return
    prepared = prepare(layers("fixmatch_cifar10_250", None, request, (), lambda sentence: None))
    machine = Machine(part.device, "fp32" if part.dry else "bf16", 1 if part.dry else 4)
    spec = next(stage.spec for stage in stages(prepared, machine) if stage.label == "semi")
    job = build(spec, prepared.images, prepared.split, None)
    pixels, label = job.evaluation["test"]
    with tempfile.TemporaryDirectory() as folder:
        engine, log = Engine(job, Path(folder)), Log(Path(folder), 0, 0)
        engine.algorithm.train()
        trained = index = 0.0
        while part.left > 15 or not index:
            start = time.perf_counter()
            while time.perf_counter() - start < (0.1 if part.dry else 20):
                for _ in range(1 if part.dry else 50):
                    engine.step(int(index), log)
                    index += 1
                part.wait()
            trained += time.perf_counter() - start
            top1 = scores(logits(engine.algorithm, job.average.network, pixels, spec), label)["top1"]
            full = FULL * trained / index / 60
            part.add(step=int(index), top1=top1, ms=round(1e3 * trained / index, 2), full_schedule_minutes=round(full))
            if part.dry:
                break
        log.close()


PARTS = {f.__name__: f for f in (tests, views, steps, fixmatch)}


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data", help="CIFAR-10, as parquet:DIR.")
@click.option("--dry", is_flag=True, help="Tiny sizes on the CPU.")
@click.option("--only", type=click.Choice([*PARTS]), help="One part, in this process.")
def main(out: Path, data: str | None, dry: bool, only: str | None) -> None:
    """Run the parts, each in a process of its own that is ended when its time is over; print a table."""
    if not dry and not torch.cuda.is_available():
        raise click.ClickException(f"torch {torch.__version__} sees no GPU here; --dry goes the same way on the CPU")
    out.mkdir(parents=True, exist_ok=True)
    if only:
        PARTS[only](Part(out, only, BUDGETS[only] - 10, dry), data)
        return
    for name, budget in BUDGETS.items():
        call = [sys.executable, "-m", "benchmarks.gpu", str(out), "--only", name]
        call += ["--dry"] if dry else []
        call += ["--data", data] if data else []
        try:
            code = subprocess.run(call, timeout=None if dry else budget, check=False).returncode
            ended = f"ended with code {code}" if code else "done"
        except subprocess.TimeoutExpired:
            ended = "its time was over"
        click.echo(f"{name}: {ended}", err=True)
    click.echo(table(out))


def table(out: Path) -> str:
    """All rows that were written, as Markdown."""
    lines = []
    for name in PARTS:
        file = out / f"{name}.json"
        rows = json.loads(file.read_text())["rows"] if file.is_file() else []
        lines += [f"\n{name}\n", "| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])] if rows else []
        lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
