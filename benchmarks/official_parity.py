"""What differs from the published code and no option reaches: its size, on images of CIFAR-10 and on digits.

    python -m benchmarks.official_parity border --data parquet:DIR
    python -m benchmarks.official_parity train --seeds 4

`border`: views by RandAugment of FixMatch's code, whose places beyond the border are transparent.
`train`: runs on digits as published minus runs as they are here, on the same seeds, with parts of `published_parts.py`.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

import sslkit
from benchmarks.digits_evidence import interval
from sslkit.augment.randaugment import FIXMATCH
from sslkit.prepare import prepare
from sslkit.randomness import Draw, key
from tests.augment.oracle import MOVING, PLAIN, reference
from tests.augment.pictures import pillow, tensor

GREY = 127.5
IN_COLOUR = ("autocontrast", "equalize", "posterize", "solarize")  # of the picture without its transparency
SETTINGS: dict[str, Any] = {"threads": 1, "device": "cpu", "precision": "fp32", "control.run": False}
SETTINGS |= {"finetune.steps": 100, "semi.steps": 150, "finetune.lr": 1e-3, "semi.lr": 1e-3, "eval.decay": 0.95}
SETTINGS |= {"finetune.batch": 16, "semi.batch": 16, "semi.mu": 3, "backbone": "vit_micro"}
FIXMATCH_RUN = {"algo": "fixmatch", "backbone": "wrn_10_1", "algo.joint": True, "eval.buffers": "copy"}
MAE_RUN = {"stages": "pretrain,finetune", "pretrain.steps": 200, "pretrain.batch": 32, "pretrainer.mask": 0.5}
ARMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # as here, and what is otherwise as published
    "eps, biases, initial weights and borders of Google's WRN": (FIXMATCH_RUN, {"backbone": "published_wrn"}),
    "ema_teacher without a mixer: no smoothing": (
        {"mixer": "none", "labeler.smoothing": 0.1},  # digits have 0 otherwise
        {"labeler.smoothing": 0.0},
    ),
    "class token of MAE": (MAE_RUN, {"backbone": "published_vit"}),
}


@click.group()
def main() -> None:
    """What differs from the published code."""


@main.command()
@click.option("--data", default="digits", show_default=True, help="A data set of sslkit.")
@click.option("--images", default=2000, show_default=True)
def border(data: str, images: int) -> None:
    """Views with opaque mid-grey beyond the border, and with what is transparent until the end."""
    prepared = prepare({"data.name": data, "data.labels": "all", "data.pool": "all"})
    pixels = torch.from_numpy(prepared.images.pixels[:images])
    slots = FIXMATCH.draw(Draw(key(0, "border"), torch.arange(images), torch.zeros(images, dtype=torch.int64)))
    steps = [[(names[i], float(value[i])) for names, value in slots] for i in range(images)]
    drawn = [(pillow(x), ops) for x, ops in zip(pixels, steps, strict=True)]
    ours, theirs = (torch.stack([make(image, ops) for image, ops in drawn]) for make in (opaque, transparent))
    off = (ours - theirs).abs().flatten(1)
    differs = off.max(1).values > 1  # mid-grey is 128 here and 127.5 there
    two = torch.tensor([all(name != "identity" for name, _ in ops) for ops in steps])
    for what, some in (("views", differs), ("views with two operations", differs[two])):
        print(f"{len(some)} {what}: {some.float().mean():.1%} differ")
    print(f"in these, mean absolute difference: {off[differs].mean():.1f} of 255 grey levels")


def opaque(image: Image.Image, ops: list[tuple[str, float]]) -> Tensor:
    """(3, H, W) float32 grey levels of a view whose places beyond the border are mid-grey at once, as sslkit's are."""
    for name, value in ops:
        image = image if name == "identity" else reference(name, image, value, FIXMATCH.edge)
    return tensor(image).float()


def transparent(image: Image.Image, ops: list[tuple[str, float]]) -> Tensor:
    """(3, H, W) float32 grey levels of a view whose places beyond the border are transparent, in the end mid-grey."""
    rgba = image.convert("RGBA")
    for name, value in ops:
        if name in MOVING:
            rgba = MOVING[name](rgba, value, resample=Image.Resampling.NEAREST, fillcolor=(0, 0, 0, 0))
        elif name in IN_COLOUR:
            rgba = PLAIN[name](rgba.convert("RGB"), value).convert("RGBA")
        elif name != "identity":
            rgba = PLAIN[name](rgba, value)
    levels = torch.from_numpy(np.array(rgba)).permute(2, 0, 1).float()
    return torch.where(levels[3:] == 0, GREY, levels[:3])


@main.command()
@click.option("--seeds", default=4, show_default=True, type=click.IntRange(2))
@click.option("--runs", default="runs", show_default=True, metavar="DIR")
def train(seeds: int, runs: str) -> None:
    """The same runs with a part as here and as published."""
    plugins = [Path(__file__).with_name("published_parts.py")]
    print("| | top-1 %, here | as published | difference, points | 95% t-interval |\n|---|---|---|---|---|")
    for name, (keys, published) in ARMS.items():
        top1: list[list[float]] = [[], []]
        for seed in range(seeds):
            for found, more in zip(top1, ({}, published), strict=True):
                request = {**SETTINGS, **keys, **more, "seed": seed}
                made = sslkit.run(request, runs=runs, plugins=plugins, console=Console(quiet=True))
                found.append(100 * made.results["stages"][-1]["networks"]["averaged"]["top1"])
        here, there = map(statistics.mean, top1)
        mean, low, high = interval(top1[1], top1[0])
        print(f"| {name} | {here:.1f} | {there:.1f} | {mean:+.1f} | {low:+.1f} to {high:+.1f} |", flush=True)


if __name__ == "__main__":
    main()
