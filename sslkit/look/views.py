"""A picture of what training sees: originals, views, and of a finished run its pseudo-labels and mixed images."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sslkit import registry
from sslkit.contracts import Algorithm, Mixed, Mixer, PseudoLabels
from sslkit.data.normalizing import normalization
from sslkit.errors import UserError
from sslkit.finished import last_stage, prepared_data
from sslkit.prepare import prepare
from sslkit.randomness import Step
from sslkit.step import PseudoLabeling
from sslkit.store import bases, weights_of
from sslkit.store.files import new_file
from sslkit.training.evaluation import autocast
from sslkit.training.loader import Loader, Source
from sslkit.training.multilabel import HALF
from sslkit.training.stage import Job, build

SIDE, LINE, LINES, GAP = 144, 12, 6, 8  # pixels of a picture, of a line of caption; lines; pixels between
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Tile:
    """One picture of the grid, with what stands under it."""

    pixels: Tensor  # (3, H, W) uint8
    caption: Sequence[str]


def show_views(request: Mapping[str, Any], run: Path | None, out: Path, n: int) -> None:
    """Draw at most `n` images, one a row, each with its views.

    Args:
        request: configuration by key, where there is no run.
        run: folder of a finished run, whose last step is shown.

    Raises:
        UserError: `out` exists or is no picture, no such run, anything in the request that cannot be.
    """
    new_file(out)
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out {out}: the name of a picture ends in {', '.join(SUFFIXES)}")
    if n < 1:
        raise UserError(f"--n must be 1 or more, got {n}")
    grid = _draw(_of_run(run, n) if run else _of_request(request, n))
    try:
        grid.save(out)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None


def _of_request(request: Mapping[str, Any], n: int) -> list[list[Tile]]:
    prepared = prepare({"data.labels": "1/class"} | dict(request))  # who is labelled is not the question
    config, images = prepared.config, prepared.images
    pool = torch.from_numpy(prepared.split.pool if len(prepared.split.pool) else prepared.split.labeled)
    policies = {"weak": config.views.weak, "weak2": config.views.weak}
    if "medium" in registry.load("algorithm", config.algo.name).views.get("unlabeled", ()):
        policies["medium"] = config.views.medium
    policies |= dict.fromkeys(("strong", "strong2", "strong3"), config.views.strong)
    source = Source(images.subset(pool.numpy()), pool, None, min(n, len(pool)))
    mean, std = map(torch.tensor, normalization(config, images))
    loader = Loader({"unlabeled": source}, {"unlabeled": policies}, config.seed, 1, mean, std)
    return _views(loader, "unlabeled", 0, n, images.named(pool.numpy()))


def _of_run(run: Path, n: int) -> list[list[Tile]]:
    stage, spec = last_stage(run)
    prepared = prepared_data(run, spec)
    job = build(spec, prepared.images, prepared.split, None)
    tensors, _ = bases.load(weights_of(stage))
    job.restore(tensors)
    stream = "unlabeled" if "unlabeled" in spec.views else "labeled"
    index = prepared.split.pool if stream == "unlabeled" else prepared.split.labeled
    last = int(spec.training["steps"]) - 1
    rows = _views(job.loader, stream, last, n, prepared.images.named(index))
    labels, mixed = _last_step(job, last)
    if labels is None:
        return rows
    for i, row in enumerate(rows):
        row[0] = Tile(row[0].pixels, [*row[0].caption, *_said(labels, i, spec.data["classes"])])
        if mixed is not None and i < len(mixed.images):
            pixels = _pixels(mixed.images[i], job.loader)
            row.append(Tile(pixels, ["MIXED", *_said(mixed.labels, i, spec.data["classes"])]))
    return rows


def _last_step(job: Job, last: int) -> tuple[PseudoLabels | None, Mixed | None]:
    """Pseudo-labels and mixed images of the first micro-batch, by the networks as they ended."""
    step = Step(last, last + 1, job.spec.draws)
    batch = job.loader.batch(last, 0)
    job.algorithm.train()
    with torch.no_grad(), autocast(job.spec):
        labels = job.algorithm(batch, step).labels
    mixer = getattr(job.algorithm, "mixer", None)
    if labels is None or not isinstance(mixer, Mixer) or not _mixes_strong_views(job.algorithm):
        return labels, None
    return labels, mixer.mix(batch["unlabeled"]["strong"], labels, step)


def _mixes_strong_views(algorithm: Algorithm) -> bool:
    """Whether it mixes the strong views, and these alone, as the default step does."""
    return isinstance(algorithm, PseudoLabeling) and "strong" in algorithm.views["unlabeled"]


def _said(labels: PseudoLabels, i: int, classes: Sequence[str]) -> list[str]:
    if labels.weight.ndim == 2:  # of several labels those that are said to be there, and how many classes are judged
        kept = labels.weight[i] > 0
        there = [name for name, yes in zip(classes, (kept & (labels.target[i] > HALF)).tolist(), strict=True) if yes]
        return ["labels: " + (", ".join(there) or "none"), f"{int(kept.sum())} of {len(classes)} classes kept"]
    share, guess = labels.target[i].float().topk(min(2, len(classes)))
    said = [f"{classes[c]} {s:.2f}" for s, c in zip(share.tolist(), guess.tolist(), strict=True) if s > 0.1]
    return ["label: " + ", ".join(said), f"confidence {labels.confidence[i]:.2f}, weight {labels.weight[i]:.2f}"]


def _views(loader: Loader, stream: str, step: int, n: int, names: Sequence[str]) -> list[list[Tile]]:
    """A row for each of the first images of a step: the original, and each view with what was drawn."""
    made, plans = loader.batch(step, 0)[stream], loader.plans(stream, step)
    rows = []
    for i, place in enumerate(made.index[:n].tolist()):
        original = loader.sources[stream].pixels[torch.tensor([place])][0].cpu()
        row = [Tile(original, ["ORIGINAL", f"class: {names[place]}"])]
        row += [
            Tile(_pixels(view[i], loader), [name.upper(), *plans[name].describe(i)])
            for name, view in made.views.items()
        ]
        rows.append(row)
    return rows


def _pixels(image: Tensor, loader: Loader) -> Tensor:
    """A normalised image as uint8."""
    grey = (image.float() * loader.std[:, None, None] + loader.mean[:, None, None]) * 255
    return grey.round().clamp(0, 255).to(torch.uint8).cpu()


def _draw(rows: list[list[Tile]]) -> Image.Image:
    width, height = SIDE + GAP, SIDE + LINES * LINE + GAP
    grid = Image.new("RGB", (GAP + width * max(map(len, rows)), GAP + height * len(rows)), "white")
    pen, font = ImageDraw.Draw(grid), ImageFont.load_default(10)
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            left, top = GAP + x * width, GAP + y * height
            image = Image.fromarray(np.ascontiguousarray(tile.pixels.permute(1, 2, 0).numpy()))
            small = max(tile.pixels.shape[1:]) < SIDE
            kind = Image.Resampling.NEAREST if small else Image.Resampling.BICUBIC
            grid.paste(image.resize((SIDE, SIDE), kind), (left, top))
            lines = [part for line in tile.caption for part in textwrap.wrap(line, 28)][:LINES]
            for k, line in enumerate(lines):
                pen.text((left, top + SIDE + k * LINE), line, fill="black", font=font)
    return grid
