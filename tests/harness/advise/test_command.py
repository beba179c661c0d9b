"""`sslkit advise`: what it ends with, that its command runs as it stands, and one line for what cannot be."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.call import Call, assert_refused, sslkit

SMALL = ("--backbone", "vit_micro", "--weights", "none", "--size", "16", "--threads", "1", "--set", "device=cpu")
STEPS = ("--set", "finetune.steps=2", "--set", "semi.steps=2", "--set", "semi.batch=8", "--set", "finetune.batch=8")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def photos(**counts: int) -> None:
    """Folders of images of a colour each, with noise."""
    generator = np.random.default_rng(0)
    for c, (name, count) in enumerate(counts.items()):
        folder = Path("photos", name)
        folder.mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 160, (16, 16, 3)) + 30 * np.eye(3, dtype=int)[c % 3]
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")


def advise(*arguments: object, data: str = "photos") -> Call:
    return sslkit("advise", data, *SMALL, *arguments)


def report(*arguments: object, data: str = "photos") -> Any:
    call = advise(*arguments, "--out", "advice.json", data=data)
    assert call.code == 0, call.err
    found = json.loads(Path("advice.json").read_text("utf-8"))
    assert found["command"] in call.out.splitlines()  # on a line of its own, uncut
    return found


def test_all_rows_are_judged_and_the_command_runs_as_it_stands() -> None:
    photos(red=10, green=10, unlabeled=20)
    found = report(*STEPS, "--labels", "all")
    assert [row["row"] for row in found["rows"]] == ["knn", "linear", "label_spreading", "finetune", "semi"]
    assert found["labels"] == found["judged"] == 16
    assert [row["folds"] for row in found["rows"]] == [8, 8, 8, 4, 4]
    assert [pair["row"] for pair in found["pool_helps"]] == ["label_spreading", "semi"]
    assert [point["labels"] for point in found["curve"]] == [4, 8, 14]
    ended = sslkit(*shlex.split(found["command"])[1:])
    assert ended.code == 0, ended.err


@pytest.mark.slow
@pytest.mark.parametrize("row", ["linear", "finetune", "semi"])
def test_the_command_of_every_kind_of_row_runs(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sslkit.harness.advise import ladder

    photos(red=10, green=10, unlabeled=20)
    monkeypatch.setattr(
        ladder.Found, "best", property(lambda self: next(found for found in self.rows if found.name == row))
    )
    found = report(*STEPS, "--seed", 3, "--set", "labeler.tau=0.5")
    ended = sslkit(*shlex.split(found["command"])[1:], "--json")
    assert ended.code == 0, ended.err
    trained = [stage["stage"] for stage in ended.json["stages"]]
    assert trained == {"linear": ["semi"], "finetune": ["finetune"], "semi": ["finetune", "semi"]}[row]
    assert ended.json["stages"][-1]["method"].startswith({"finetune": "supervised", "semi": "ema"}.get(row, row))


def test_without_a_pool_its_rows_are_left_out_and_it_is_said() -> None:
    photos(red=8, green=8)
    found = report("--set", "finetune.steps=90000", "--labels", "all")  # no time for that
    assert [row["row"] for row in found["rows"]] == ["knn", "linear"]
    assert any("finetune needs about" in remark for remark in found["remarks"])
    assert found["pool_helps"] == []
    assert any("no images without a label" in remark for remark in found["remarks"])


def test_a_class_with_a_single_label_is_not_judged() -> None:
    photos(red=8, green=8, blue=3, unlabeled=8)
    Path("labels.csv").write_text("path,label\nred/0.png,red\nred/1.png,red\nred/2.png,red\ngreen/0.png,green\n")
    with Path("labels.csv").open("a") as file:
        file.write("green/1.png,green\ngreen/2.png,green\nblue/0.png,blue\n")
    found = report("--set", "finetune.steps=90000", "--labels", "file:labels.csv", "--set", "data.test=0.4")
    assert found["judged"] < found["labels"]
    assert any("blue" in remark for remark in found["remarks"])


@pytest.mark.parametrize(
    ("counts", "arguments", "words"),
    [
        ({"red": 6, "unlabeled": 6}, [], "only one class"),
        ({"red": 2, "green": 2, "unlabeled": 4}, [], "label another of each"),
        ({"unlabeled": 6}, [], "label"),
        ({"red": 9, "green": 9}, ["--time", "1s", "--weights", "none"], "--time is too short"),
        ({"red": 9, "green": 9}, ["--set", "stages=semi"], "advise decides stages itself"),
        ({"red": 9, "green": 9}, ["--time", "soon"], "--time must be like"),
        ({"red": 9, "green": 9}, ["--weights", "missing.pth"], "missing.pth"),
        ({"red": 9, "green": 9}, ["--out", "photos"], "is there already"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    counts: dict[str, int], arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "1s" in arguments:
        monkeypatch.setattr("sslkit.harness.advise.ladder.Ladder._image", lambda self: 60.0)
        monkeypatch.setattr("sslkit.harness.advise.ladder.BATCH", 2)
    photos(**counts)
    call = advise("--labels", "all", *arguments)
    assert call.code == 2
    assert call.err.strip().splitlines()[-1].startswith("error: ")
    assert words in call.err.strip().splitlines()[-1]
    assert call.out == ""


def test_one_label_in_all_is_refused() -> None:
    photos(red=4, green=4)
    Path("labels.csv").write_text("path,label\nred/0.png,red\n")
    assert_refused(advise("--labels", "file:labels.csv"), "label")
