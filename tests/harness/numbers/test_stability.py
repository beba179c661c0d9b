"""Flags of training, on logs and predictions that are made up."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from sslkit.harness.numbers.stability import flags, of_error
from sslkit.store import checkpoint

CLASSES, IMAGES = 10, 200
FALLING = [2.0 * 0.97**i + 0.05 * (i % 3) for i in range(60)]
KEPT = [min(1.0, i / 30) for i in range(60)]


def stage(folder: Path, loss: list[float], kept: list[float] | None, guess: torch.Tensor | None = None) -> Path:
    label = torch.arange(IMAGES) % CLASSES
    shown = label if guess is None else guess
    logits = torch.nn.functional.one_hot(shown, CLASSES).float()
    checkpoint.save(folder / "predictions.safetensors", {"label": label, "averaged": logits}, {})
    lines = [{"step": 10 * i, "supervised": x} for i, x in enumerate(loss)]
    for line, share in zip(lines, kept or (), strict=False):
        line["coverage"] = share
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_good_training_has_no_flag(tmp_path: Path) -> None:
    assert flags(stage(tmp_path, FALLING, KEPT)) == []
    assert flags(stage(tmp_path, FALLING, None)) == []


@pytest.mark.parametrize(
    ("loss", "kept", "flag"),
    [
        ([*FALLING[:50], *[math.log(CLASSES)] * 10], KEPT, "diverged"),
        ([*FALLING[:40], 3.5, *FALLING[40:]], KEPT, "spikes"),
        (FALLING, [*KEPT[:50], *[0.0] * 10], "coverage 0"),
    ],
    ids=["diverged", "spikes", "coverage 0"],
)
def test_one_thing_is_wrong(tmp_path: Path, loss: list[float], kept: list[float], flag: str) -> None:
    assert flag in flags(stage(tmp_path, loss, kept))


def test_what_was_never_kept_did_not_collapse(tmp_path: Path) -> None:
    assert flags(stage(tmp_path, FALLING, [0.0] * 60)) == []


def test_a_high_loss_at_the_start_is_no_spike(tmp_path: Path) -> None:
    assert flags(stage(tmp_path, [2.3, 9.0, 2.2, *FALLING], KEPT)) == []


@pytest.mark.parametrize(("share", "flagged"), [(0.45, False), (0.6, True)])
def test_a_class_that_takes_over(tmp_path: Path, share: float, flagged: bool) -> None:
    label = torch.arange(IMAGES) % CLASSES
    others = (label != 3).nonzero()[:, 0]
    guess = label.clone()
    guess[others[: int(share * len(others))]] = 3
    assert ("one class" in flags(stage(tmp_path, FALLING, KEPT, guess))) == flagged


def test_two_classes_that_are_told_apart_are_no_collapse(tmp_path: Path) -> None:
    label = torch.arange(IMAGES) % 2
    checkpoint.save(tmp_path / "predictions.safetensors", {"label": label, "averaged": torch.eye(2)[label]}, {})
    assert flags(tmp_path) == []


def test_damage_is_no_flag(tmp_path: Path) -> None:
    stage(tmp_path, FALLING, KEPT)
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(log.read_bytes()[:-15] + b"\xff")
    (tmp_path / "predictions.safetensors").write_bytes(b"torn")
    assert flags(tmp_path) == []


def test_a_loss_that_was_not_finite_is_divergence() -> None:
    assert of_error("stage 'semi': the loss term 'consistency' is not finite at step 3") == "diverged"
    assert of_error("not run yet") == ""
