"""Temperature scaling against a slow search, and what a run with a validation part says and stores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sslkit.terminal import screen
from sslkit.training.calibration import LIMITS, calibrate, fit_temperature
from tests.cli.call import assert_refused, folder_of, run, sslkit


def made(seed: int, sharp: float, images: int = 2000, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are right about probabilities when divided by `sharp`."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(images, classes)) * 2
    p = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    label = [rng.choice(classes, p=row) for row in p]
    return torch.tensor(true * sharp, dtype=torch.float32), torch.tensor(label)


def loss(logits: torch.Tensor, label: torch.Tensor, t: float) -> float:
    total = 0.0
    for row, y in zip(logits.double().tolist(), label.tolist(), strict=True):
        z = np.array(row) / t
        total += float(np.log(np.exp(z - z.max()).sum()) + z.max() - z[y])
    return total / len(label)


@pytest.mark.parametrize("sharp", [0.3, 1.0, 4.0])
def test_it_is_the_lowest_point_of_the_loss(sharp: float) -> None:
    logits, label = made(0, sharp, images=300)
    t = fit_temperature(logits, label)
    best = loss(logits, label, t)
    assert all(best <= loss(logits, label, t * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2))


def test_it_finds_what_was_done_to_the_logits() -> None:
    for sharp in (0.5, 1.0, 3.0):
        assert fit_temperature(*made(1, sharp, images=20_000)) == pytest.approx(sharp, rel=0.05)


def test_images_without_a_label_do_not_count() -> None:
    logits, label = made(2, 3.0, images=300)
    more = torch.cat([logits, torch.full((50, 5), 9.0)]), torch.cat([label, torch.full((50,), -1)])
    assert fit_temperature(*more) == fit_temperature(logits, label)


def test_where_nothing_is_wrong_it_stays_one_and_where_all_is_wrong_it_is_bounded() -> None:
    logits = torch.eye(4)
    assert fit_temperature(logits, torch.arange(4)) == 1
    assert fit_temperature(100 * logits, (torch.arange(4) + 1) % 4) == pytest.approx(LIMITS[1], rel=1e-3)


def test_what_it_gives_is_measured_on_the_test_part() -> None:
    val, test = made(3, 3.0), made(4, 3.0)
    found = calibrate({"val": val, "test": test})
    assert found is not None
    t = found["temperature"]
    assert found["nll"] == pytest.approx(loss(*test, t), abs=1e-6)
    assert found["nll"] < loss(*test, 1) - 0.1
    assert found["ece"] < 0.05
    assert found["images"] == 2000
    assert found["errors"] == int((val[0].argmax(1) != val[1]).sum())
    assert calibrate({"test": test}) is None


def test_a_run_with_a_validation_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    made = run("--val", "0.3", "--algo", "fixmatch", "--set", "semi.steps=25", "--set", "finetune.steps=15", "--json")
    assert made.code == 0, made.err
    folder, last = folder_of(made, Path("runs")), made.json["stages"][-1]
    found = last["calibration"]
    assert found["images"] == 30
    shown = sslkit("show", folder).out
    assert f"Temperature scaling: {found['temperature']:.2f}, fitted on only 30 validation images" in shown
    assert f"NLL {last['networks']['averaged']['nll']:.3f} -> {found['nll']:.3f}" in shown

    stage = Path("runs/stages") / last["key"]
    stored = load_file(stage / "predictions.safetensors")
    scaled = (stored["averaged"].double() / found["temperature"]).softmax(1)
    nll = -scaled[torch.arange(len(scaled)), stored["label"]].log().mean().item()
    assert nll == pytest.approx(found["nll"], abs=1e-6)
    assert sslkit("predict", folder, "--test", "--calibrated", "--out", "c.csv").code == 0
    confidence = np.loadtxt("c.csv", delimiter=",", skiprows=1, usecols=3)
    np.testing.assert_allclose(confidence, scaled.amax(1).numpy(), atol=6e-5)

    best = sslkit("predict", folder, "--test", "--network", "best", "--out", "b.csv", "--json")
    assert best.json["top1"] == last["best"]["top1"]
    assert sslkit("predict", folder, "--test", "--network", "best", "--calibrated", "--out", "bc.csv").code == 0
    plain, calibrated = (np.loadtxt(f, delimiter=",", skiprows=1, usecols=3) for f in ("b.csv", "bc.csv"))
    assert (last["best"]["calibration"]["temperature"] == 1) == np.allclose(plain, calibrated)

    out = ("--format", "torch", "--out", "m.pt2", "--calibrated")
    assert sslkit("export", folder, *out).code == 0
    assert json.loads(Path("m.pt2.json").read_text())["inside"]["temperature"] == found["temperature"]
    assert_refused(sslkit("predict", folder, "--test", "--calibrated", "--network", "student"), "averaged")
