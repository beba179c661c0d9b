"""docs/after-training.md: every command is run as it stands there, with fewer steps, on pictures of digits."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from sslkit.cli import main
from sslkit.record import budget
from sslkit.terminal import screen
from sslkit.training.timing import Seconds

from .page import blocks, commands

PAGE = "docs/after-training.md"
SMALL = ("--backbone", "wrn_10_1", "--size", "16", "--device", "cpu", "--precision", "fp32", "--threads", "1")
FEW = ("finetune.batch=8", "semi.batch=8", "semi.mu=1")


def photos() -> None:
    """Three classes in `photos` and, without a label, in `new`."""
    data = load_digits()
    for c, name in enumerate(("cat", "dog", "hen")):
        for k, i in enumerate(np.flatnonzero(data.target == c)[:31].tolist()):
            part = f"train/{name}" if k < 15 else f"test/{name}" if k < 20 else "unlabeled"
            place = Path("photos", part) if k < 30 else Path("new")
            place.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray((data.images[i] * 255 / 16).round().astype(np.uint8)).resize((20, 24))
            image.convert("RGB").save(place / ("a.jpg" if (k, c) == (30, 0) else f"{name}{k}.png"))


def run(command: list[str], *more: str) -> str:
    """Train, and give the run's folder."""
    before = set(Path("runs").glob("folder-*"))
    sets = [word for setting in FEW for word in ("--set", setting)]
    assert main([*command, *SMALL, *sets, *more]) == 0
    (made,) = set(Path("runs").glob("folder-*")) - before
    return str(made)


def rows(file: str) -> list[dict[str, str]]:
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.usefixtures("here")
def test_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    photos()
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    few = ("--set", "finetune.steps=12", "--set", "semi.steps=3")
    trained, again, in_time = (c for c in commands(PAGE) if c[0] == "run")
    rest = [c for c in commands(PAGE) if c[0] != "run"]
    assert {c[0] for c in rest} == {"show", "predict", "audit", "export"}
    folder = run(trained, *few)
    assert "Temperature scaling: " in capsys.readouterr().out
    for command in rest:
        if "timm" not in command:  # this network is not timm's
            assert main([folder if word == "RUN" else word for word in command]) == 0, command
    assert len(rows("new.csv")) == 3
    assert {row["label"] for row in rows("test.csv")} == {"cat", "dog", "hen"}
    assert [row["class"] for row in rows("all.csv")] == [row["class"] for row in rows("test.csv")]
    plain, calibrated = rows("new.csv"), rows("calibrated.csv")
    assert [row["file"] for row in plain] == [row["file"] for row in calibrated]

    names: dict[str, Any] = {}
    (source,) = blocks(PAGE, "python")
    exec(compile(source, PAGE, "exec"), names)
    (expected,) = [row for row in plain if row["file"] == "new/a.jpg"]
    assert names["about"]["classes"][names["p"][0].argmax()] == expected["class"]
    assert f"{names['p'][0].max():.4f}" == expected["confidence"]

    assert any(not row["label"] for row in rows("audit/labels.csv"))
    assert sum(bool(row["label"]) for row in rows("audit/labels.csv")) == 45 + 15
    second = run(again, *few)
    assert json.loads(Path(second, "split.json").read_text())["pool"]
    shutil.rmtree("runs/stages")

    monkeypatch.setattr(budget, "step_seconds", lambda specs, *_: {spec.key: Seconds(200.0, 0.0) for spec in specs})
    timed = run(in_time)
    assert set(json.loads(Path(timed, "run.json").read_text())["machine"]["steps"]) == {"finetune", "semi"}
