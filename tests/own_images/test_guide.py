"""docs/own-images.md: its commands, run in their order on pieces of real photographs, with few steps."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslkit.terminal import screen
from tests.cli.call import Call, folder_of, sslkit
from tests.docs.page import commands
from tests.own_images.photos import PHOTOGRAPHS, photos, pieces, save

PAGE = "docs/own-images.md"
FEW = (
    *("--backbone", "vit_micro", "--size", "16", "--device", "cpu", "--precision", "fp32", "--threads", "1"),
    *("--set", "finetune.steps=12", "--set", "finetune.batch=8", "--set", "finetune.lr=2e-3"),
    *("--set", "semi.steps=6", "--set", "semi.batch=8", "--set", "semi.mu=2"),
)


def brief(arguments: list[str]) -> list[str]:
    """A run with few steps, in the place of those that its time would come to."""
    at = arguments.index("--time")
    return [*arguments[:at], *arguments[at + 2 :], *FEW, "--json"]


def done(arguments: list[str], run: Path | None = None) -> Call:
    call = sslkit(*[str(run) if word == "RUN" else word for word in arguments])
    assert call.code == 0, call.err
    return call


@pytest.mark.slow
def test_from_a_folder_to_an_exported_model(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    photos(here / "photos", train=12, test=6, heap=10)
    (here / "photos/unlabelled/c20.jpg").write_text("torn")
    shutil.copy(here / "photos/Test/fleur/f13.jpg", here / "photos/unlabelled/again.jpg")
    look, views, train, predict, audit, again, export = commands(PAGE)

    said = " ".join(done(look).out.split())
    assert "files that cannot be read: 1" in said
    assert "exact duplicates (same bytes): 1 group, 1 across training and test" in said
    done(views)
    assert Image.open("views.png").width > 100

    first = done(brief(train))
    run = folder_of(first, Path("runs"))
    assert "18 labelled and 6 for validation, 19 unlabelled (without the labelled ones), 12 test" in first.err
    assert [row["stage"] for row in first.json["stages"]] == ["finetune", "finetune+", "semi"]

    for name, file in PHOTOGRAPHS.items():
        for i, image in enumerate(pieces(file, 30)[26:]):
            save(image, here / f"new/{name[:5]}{i}.JPG")
    done(predict, run)
    with Path("new.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8
    assert {row["class"] for row in rows} <= {*PHOTOGRAPHS}

    done(audit, run)
    assert "<html" in Path("audit/index.html").read_text("utf-8")
    second = done(brief(again))
    assert "rows matched, labels are class names" in second.err
    test = json.loads((run / "split.json").read_text())["test"]
    assert len(test) == 12

    if "onnx" in export:
        pytest.importorskip("onnxruntime")
    done(export, run)
    about = json.loads(Path("model.onnx.json").read_text("utf-8"))
    assert sorted(PHOTOGRAPHS) == about["classes"]


def test_digits_of_one_folder_are_learned(here: Path) -> None:
    """Numbers as class names, no test part: what is said and what comes out is far from chance."""
    from tests.own_images.photos import digits

    digits(here / "digits", 400)
    arguments = (
        "--data",
        "folder:digits",
        "--labels",
        "10/class",
        *FEW,
        "--set",
        "finetune.steps=60",
        "--stages",
        "finetune",
    )
    call = sslkit(
        "run", *arguments, "--set", "views.weak=plain", "--set", "data.stats=measured", "--no-control", "--json"
    )
    assert call.code == 0, call.err
    assert "of 400 labelled images are set aside as one" in call.err
    split = json.loads((folder_of(call, Path("runs")) / "split.json").read_text())
    assert split["classes"] == [str(c) for c in range(10)]
    assert 78 <= len(split["test"]) <= 82
    assert call.json["headline"]["top1"] > 0.3
    done(["predict", str(folder_of(call, Path("runs"))), "--test", "--out", "t.csv"])
    with Path("t.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    right = np.mean([row["class"] == Path(row["file"]).parent.name for row in rows])
    assert right == pytest.approx(call.json["headline"]["top1"]), (
        "predicting the test folder gives the reported accuracy"
    )
