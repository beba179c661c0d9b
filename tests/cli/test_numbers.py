"""Numbers one can trust: what is said before, that steps are done, and that a prediction is what was reported."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image, ImageOps
from rich.console import Console
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from sslkit.record.results import read_results
from sslkit.terminal.progress import Bar
from sslkit.training.networks import build_network
from sslkit.training.spec import Spec
from tests.cli.call import folder_of, run, sslkit
from tests.cli.conftest import Finished

CLASSES = ("null", "eins & [eins]", "zwei", "drei ü")  # names of class folders


def cells(text: str, stage: str) -> list[str]:
    """Of the line of the plan that is about a stage."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [stage])


def test_the_plan_has_steps_images_and_passes(finished: Finished) -> None:
    """100 labelled images, 900 in the pool; 8 labelled ones and twice as many others a step, three steps."""
    assert cells(finished.call.err, "finetune")[1:4] == ["3", "8", "0.2"]
    assert cells(finished.call.err, "semi")[1:7] == ["3", "8", "+", "16", "0.2", "0.1"]


@pytest.mark.parametrize(("labels", "batch"), [("9", 8), ("12", 32)])
def test_a_rest_of_one_image_and_less_data_than_a_batch(labels: str, batch: int, untimed: None) -> None:
    """With BatchNorm, which cannot do with one image: the pool goes round, batches are full, steps are done."""
    sets = ("--set", f"finetune.batch={batch}", "--set", f"semi.batch={batch}", "--set", "semi.mu=1")
    made = run("--backbone", "wrn_10_1", "--labels", labels, "--algo", "fixmatch", *sets, "--json")
    assert made.code == 0, made.err
    for row in made.json["stages"]:
        assert row["steps"] == 3
        lines = (Path("runs/stages") / row["key"] / "metrics.jsonl").read_text().splitlines()
        assert all(np.isfinite(value) for value in json.loads(lines[-1]).values() if value is not None)
    assert cells(made.err, "finetune")[1:4] == ["3", str(batch), f"{3 * batch / int(labels):.1f}"]


def test_weights_move_and_the_averages_statistics_follow(untimed: None) -> None:
    """The teacher of a network with BatchNorm has running statistics that are neither its first nor the student's."""
    made = run("--backbone", "wrn_10_1", "--algo", "ema_teacher", "--set", "semi.decay=0.5", "--json")
    folder = Path("runs/stages") / made.json["stages"][-1]["key"]
    tensors, spec = load_file(folder / "weights.safetensors"), Spec(**json.loads((folder / "spec.json").read_text()))
    start = build_network(spec).state_dict()
    learned = [name for name, parameter in build_network(spec).named_parameters() if parameter.requires_grad]
    assert all(not torch.equal(tensors[f"student.{name}"], start[name]) for name in learned)
    statistics = [name for name in start if name.endswith(("running_mean", "running_var"))]
    assert statistics
    for name in statistics:
        averaged, student = tensors[f"averaged.{name}"], tensors[f"student.{name}"]
        assert not torch.equal(averaged, start[name])
        assert not torch.equal(averaged, student)
        assert (averaged - student).abs().max() < (start[name] - student).abs().max(), "it follows"


def photos(root: Path) -> None:
    """Digits as pictures of several sizes and shapes in class folders."""
    data, rng = load_digits(), np.random.default_rng(0)
    for c, name in enumerate(CLASSES):
        for k, i in enumerate(np.flatnonzero(data.target == c)[:40].tolist()):
            place = root / ("train" if k < 25 else "test") / name
            place.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray((data.images[i] * 255 / 16).round().astype(np.uint8))
            side = int(rng.integers(12, 30))
            image = ImageOps.expand(image.resize((side, side)), (int(rng.integers(0, 9)), 0))
            image.convert("RGB").save(place / f"{k}.{'JPG' if k % 2 else 'png'}")


def test_predicting_the_test_folder_gives_the_reported_accuracy(untimed: None) -> None:
    """By `predict` and, from what the JSON beside it says alone, by the ONNX file: names and preparation travel."""
    photos(Path("photos"))
    sets = ("--set", "finetune.steps=40", "--set", "finetune.batch=16", "--set", "finetune.lr=1e-2", "--size", "16")
    asked = ("--labels", "20/class", "--stages", "finetune", "--backbone", "wrn_10_1")
    made = run("--data", "folder:photos", *asked, *sets, "--json")
    assert made.code == 0, made.err
    folder, reported = folder_of(made, Path("runs")), made.json["headline"]["top1"]
    for options in ((), ("--network", "averaged")):
        found = sslkit("predict", folder, "photos/test", "--json", "--out", f"{len(options)}.csv", *options)
        assert found.json["labeled"] == found.json["images"] == 60
        assert found.json["top1"] == reported
    with Path("0.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {*CLASSES}

    assert sslkit("export", folder, "--format", "onnx", "--out", "m.onnx").code == 0
    about, session = json.loads(Path("m.onnx.json").read_text("utf-8")), onnxruntime.InferenceSession("m.onnx")
    right = 0
    for row in rows:
        image = ImageOps.exif_transpose(Image.open(row["file"])).convert("RGB")
        image = ImageOps.fit(image, (about["size"],) * 2, Image.Resampling.BICUBIC)
        pixels = np.asarray(image).transpose(2, 0, 1)[None]
        (p,) = session.run(None, {"images": pixels})
        right += about["classes"][int(p.argmax())] == row["label"]
    assert right / len(rows) == pytest.approx(reported)
    assert reported > 0.5, "it has learned something"


def test_the_share_that_is_kept_is_shown_while_a_stage_trains(finished: Finished) -> None:
    key = finished.call.json["stages"][-1]["key"]
    spec = Spec(**json.loads((finished.runs / "stages" / key / "spec.json").read_text()))
    bar = Bar("semi", spec, Console(quiet=True))
    bar(10, {"step": 10, "seconds": 1.0, "lr": 0.1, "supervised": 0.5, "coverage": 0.434, "precision": 0.9})
    assert bar.progress.tasks[0].fields["values"] == "kept 43% · loss supervised 0.500"


def test_an_empty_mask_is_no_number_that_is_not_one(untimed: None) -> None:
    made = run("--algo", "fixmatch", "--set", "labeler.tau=1.0", "--json")
    assert "NaN" not in made.out
    assert made.json["stages"][-1]["pseudo_labels"] == pytest.approx(
        {"coverage": 0, "recall": 0, "confidence": made.json["stages"][-1]["pseudo_labels"]["confidence"]}
    )
    log = (Path("runs/stages") / made.json["stages"][-1]["key"] / "metrics.jsonl").read_text()
    assert "NaN" not in log
    assert read_results(folder_of(made, Path("runs")))["remarks"] == made.json["remarks"]
