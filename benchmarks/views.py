"""Weak and strong views of Semi-ViT on one thread: sslkit, an older build, timm on Pillow and torchvision v2, in turns.

    python -m benchmarks.views --old CHECKOUT [--size 224] [--source 448]

Sides are processes; each makes the two views of 16 images when it is its turn, and turns go round. Processor time, as
a busy machine's clock says little; a ratio is the median over rounds of two neighbouring turns, with its quartiles.
The peers are those of `benchmarks.augmentation`. With `--source`, images of that side are in memory and random resized
crops of them have `--size`: sslkit cuts them as `--crop whole` does when it reads files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from types import SimpleNamespace
from typing import Any

import click
import numpy as np

BATCH = 16
CODES = ("sslkit", "old", "timm on Pillow", "torchvision v2")


def serve(code: str, size: int, source: int) -> None:
    """Make two views of each image for every line that is read, and say what that took."""
    import torch

    from benchmarks import augmentation as bench

    torch.set_num_threads(1)
    images = bench.pictures(BATCH, source or size)
    if code in ("timm on Pillow", "torchvision v2"):
        work = peer(code, images, size)
    else:
        work = cropped(images, size) if source else bench.ours(images, BATCH)
    next(work)
    for _ in sys.stdin:
        start = time.process_time()
        next(work)
        print(time.process_time() - start, flush=True)


def peer(code: str, images: Any, size: int) -> Iterator[int]:
    import torch

    from benchmarks import augmentation as bench

    makers: Any = bench.PEERS
    pairs = makers[code](images, size)
    while True:
        made = [pairs[i] for i in range(BATCH)]
        yield len([torch.stack(views) for views in zip(*made, strict=True)])


def cropped(images: Any, size: int) -> Iterator[int]:
    """As `--crop whole` does: the crop is cut out of an image that was read, the rest is done to a batch of crops."""
    import torch
    from PIL import Image

    from sslkit.augment.boxes import BOX_DRAWS
    from sslkit.augment.policy import POLICIES
    from sslkit.augment.render import view
    from sslkit.data.on_demand import Crop, OnDemand
    from sslkit.randomness import Draw

    read = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    stored: Any = SimpleNamespace(square=SimpleNamespace(size=size), rgb=read.__getitem__)
    pixels = OnDemand(stored, np.arange(BATCH), True, None)  # type: ignore[arg-type]
    mean, std, sample = torch.zeros(3), torch.ones(3), torch.arange(BATCH)
    policies = [POLICIES[name] for name in ("semi_vit_weak", "semi_vit_strong")]
    for step in range(1 << 40):
        draw = Draw(step, sample, torch.zeros(BATCH, dtype=torch.int64))
        crops = [Crop(draw("crop", BOX_DRAWS), policy.crop, policy.interpolation) for policy in policies]
        for policy, made in zip(policies, pixels._block(np.arange(BATCH), slice(0, BATCH), crops), strict=True):
            view(torch.from_numpy(made), replace(policy, crop=1.0, flip=True), draw, mean, std)
        yield BATCH


class Side:
    """A code at work, in a process of its own."""

    def __init__(self, code: str, size: int, source: int, checkout: Path) -> None:
        told = ["--serve", "sslkit" if code == "old" else code, "--size", str(size), "--source", str(source)]
        environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), *told],
            env=environment, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def turn(self) -> float:
        """Milliseconds of the processor for an image's two views."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("turn\n")
        self.process.stdin.flush()
        return 1000 * float(self.process.stdout.readline()) / BATCH

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@click.command()
@click.option("--size", default=224, help="Pixels of a view.")
@click.option("--source", default=0, help="Pixels of the images, where they are larger.")
@click.option("--old", type=click.Path(path_type=Path), default=None, help="A checkout of an older build.")
@click.option("--rounds", default=30)
@click.option("--serve", "code", default="", hidden=True)
def main(size: int, source: int, old: Path | None, rounds: int, code: str) -> None:
    if code:
        serve(code, size, source)
        return
    here = Path(__file__).parents[1]
    names = [name for name in CODES if name != "old" or old]
    sides = {name: Side(name, size, source, (old or here) if name == "old" else here) for name in names}
    turns = [{name: side.turn() for name, side in sides.items()} for _ in range(rounds)]
    for side in sides.values():
        side.close()
    print("| source | view | code | ms an image | sslkit is times as fast |\n|---|---|---|---|---|")
    for name in names:
        ratios = [turn[name] / turn["sslkit"] for turn in turns]
        low, middle, high = quantiles(ratios, n=4)
        ms = median(turn[name] for turn in turns)
        print(f"| {source or size} | {size} | {name} | {ms:.2f} | {middle:.2f} ({low:.2f} to {high:.2f}) |")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
