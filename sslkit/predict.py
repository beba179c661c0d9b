"""Predictions of a finished run: for its test set, or for image files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslkit import checkpoint
from sslkit.contracts import Algorithm
from sslkit.errors import UserError
from sslkit.evaluation import logits, scores
from sslkit.image import SUFFIXES, to_pixels
from sslkit.network import Classifier
from sslkit.plugins import check_plugins
from sslkit.prepare import prepare
from sslkit.resolve import read_toml
from sslkit.spec import Spec, stamp
from sslkit.stage import build_algorithm, restore
from sslkit.store import is_done, read_json


def predict(
    run: Path,
    paths: Sequence[Path],
    *,
    test: bool = False,
    out: Path = Path("predictions.csv"),
    all_classes: bool = False,
) -> dict[str, Any]:
    """Write `out` with file, class name and confidence of every image; returns their number (and top1).

    Args:
        run: folder of a finished run; its averaged network predicts.
        paths: image files, or folders that are searched for them.
        test: predict the run's own test set instead.
        all_classes: one column more for every class, its probability.

    Raises:
        UserError: no such run, no image, `out` exists, data that has changed since the run.
    """
    if test == bool(paths):
        raise UserError("name image files or folders to predict, or --test, not both")
    if out.exists():
        raise UserError(f"{out} exists and is not overwritten; choose another --out")
    stage, spec = last_stage(run)
    if test:
        names, pixels, label = _test_set(run, spec)
    else:
        names, pixels = _files(paths, spec.data["size"])
    found = _logits(stage, spec, pixels)
    checkpoint.write_text(out, _table(names, found.softmax(1), spec.data["classes"], all_classes))
    result: dict[str, Any] = {"images": len(names), "out": str(out)}
    return result | {"top1": scores(found, label)["top1"]} if test else result


def last_stage(run: Path) -> tuple[Path, Spec]:
    """Folder and specification of the last stage of a finished run that trained a head.

    Raises:
        UserError: no such run, or one that pre-trained only.
    """
    found = [folder for label, folder in stage_folders(run).items() if label != "pretrain"]
    if not found:
        raise UserError(f"{run} has pre-trained only: there is no classifier in it")
    return found[-1], Spec(**read_json(found[-1] / "spec.json"))


def stage_folders(run: Path) -> dict[str, Path]:
    """Label -> folder of the stages of a finished run, in the order of training.

    Raises:
        UserError: no such run, or a plug-in that it used is not loaded.
    """
    if not is_done(run):
        raise UserError(f"{run} is not a finished run")
    about = read_json(run / "run.json")
    check_plugins(about["plugins"])
    return {label: run.parent / "stages" / folder for label, folder in about["stages"].items()}


def trained(stage: Path, spec: Spec) -> tuple[Algorithm, Classifier]:
    """The algorithm and the averaged network as a stage left them."""
    torch.set_num_threads(spec.threads)
    algorithm, average = build_algorithm(spec, None)
    tensors, _ = checkpoint.load(stage / "weights.safetensors")
    restore(algorithm, average, tensors)
    return algorithm, average.network


def _logits(stage: Path, spec: Spec, pixels: Tensor) -> Tensor:
    algorithm, network = trained(stage, spec)
    return logits(algorithm, network, pixels, spec)


def _test_set(run: Path, spec: Spec) -> tuple[list[str], Tensor, Tensor]:
    prepared = prepare(read_toml(run / "config.toml"))
    index = prepared.split.test
    if prepared.images.fingerprint != spec.data["fingerprint"] or stamp(index) != spec.data["test"]:
        raise UserError(f"the data or the configuration has changed since {run.name}")
    images = prepared.images
    names = [images.names[i] for i in index]
    return names, torch.from_numpy(images.pixels[index]), torch.from_numpy(images.label[index])


def _files(paths: Sequence[Path], size: int) -> tuple[list[str], Tensor]:
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"no file or folder {str(path)!r}")
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        files += inside
    if not files:
        raise UserError(f"no image in {', '.join(map(str, paths))}; looked for {', '.join(SUFFIXES)}")
    pixels = np.stack([to_pixels(file, size, str(file)) for file in files])
    return [str(file) for file in files], torch.from_numpy(pixels)


def _table(names: Sequence[str], p: Tensor, classes: Sequence[str], all_classes: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "class", "confidence", *(map(cell, classes) if all_classes else [])])
    confidence, guess = p.max(1)
    for i, name in enumerate(names):
        row = [cell(name), cell(classes[int(guess[i])]), f"{confidence[i]:.4f}"]
        writer.writerow(row + [f"{x:.4f}" for x in p[i]] if all_classes else row)
    return text.getvalue()


def cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
