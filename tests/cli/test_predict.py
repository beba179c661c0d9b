"""`sslkit predict`: what was measured is what comes out."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslkit.prepare import prepare
from tests.cli.call import assert_refused, sslkit
from tests.cli.conftest import Finished


def table(path: str = "predictions.csv") -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_predicting_the_test_set_gives_the_reported_accuracy(finished: Finished) -> None:
    made = sslkit("predict", finished.folder, "--test", "--json")
    assert made.code == 0
    assert made.json == {
        "images": 797,
        "out": "predictions.csv",
        "top1": finished.call.json["headline"]["top1"],
    }
    assert len(table()) == 797
    assert set(table()[0]) == {"file", "class", "confidence"}


def test_all_classes_are_probabilities(finished: Finished) -> None:
    assert sslkit("predict", finished.folder, "--test", "--all", "--out", "p.csv").code == 0
    for row in table("p.csv"):
        p = {name: float(row[name]) for name in "0123456789"}
        assert sum(p.values()) == pytest.approx(1, abs=1e-3)
        assert p[row["class"]] == max(p.values()) == float(row["confidence"])


def test_predictions_are_never_overwritten(finished: Finished) -> None:
    Path("predictions.csv").write_text("precious")
    assert_refused(sslkit("predict", finished.folder, "--test"), "predictions.csv", "not overwritten", "--out")
    assert Path("predictions.csv").read_text() == "precious"


def test_image_files_are_prepared_as_the_training_images_were(finished: Finished) -> None:
    """Digits saved as files get what the same digits of the test set got."""
    sslkit("predict", finished.folder, "--test", "--all", "--out", "test.csv")
    prepared = prepare({"backbone": "vit_micro"})
    for i, place in enumerate(prepared.split.test[:20]):
        Image.fromarray(prepared.images.pixels[place, 0]).save(f"{i:04d}.png")
    assert sslkit("predict", finished.folder, ".", "--all").code == 0
    assert [row["class"] for row in table()] == [row["class"] for row in table("test.csv")[:20]]
    assert [row["confidence"] for row in table()] == [row["confidence"] for row in table("test.csv")[:20]]


@pytest.mark.parametrize(("mode", "suffix"), [("L", ".png"), ("RGB", ".JPG"), ("P", ".gif"), ("RGBA", ".webp")])
def test_all_kinds_of_images(mode: str, suffix: str, finished: Finished) -> None:
    Path("a b").mkdir()
    Image.new(mode, (30, 11)).save(f"a b/ü [x]{suffix}")
    Path("a b/notes.txt").write_text("no image")
    made = sslkit("predict", finished.folder, "a b", "--json")
    assert made.code == 0
    assert [row["file"] for row in table()] == [f"a b/ü [x]{suffix}"]


def test_names_are_no_formulas(finished: Finished) -> None:
    Image.new("L", (8, 8)).save("=cmd.png")
    assert sslkit("predict", finished.folder, "=cmd.png").code == 0
    assert table()[0]["file"] == "'=cmd.png"


BAD = {
    "nothing to predict": ([], "--test"),
    "both": (["--test", "x.png"], "not both"),
    "no such file": (["gone.png"], "gone.png"),
    "no image in the folder": (["empty"], "no image in empty"),
    "not an image": (["text.png"], "text.png"),
    "cut off": (["cut.png"], "cut.png"),
    "no folder for the output": (["ok.png", "--out", "gone/p.csv"], "gone/p.csv"),
    "output is a folder": (["ok.png", "--out", "empty"], "empty"),
    "unknown option": (["ok.png", "--al"], "--al"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_one_line_and_leave_nothing(case: str, finished: Finished) -> None:
    Path("empty").mkdir()
    Path("text.png").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save("ok.png")
    Path("cut.png").write_bytes(Path("ok.png").read_bytes()[:-4000])
    before = sorted(Path().rglob("*"))
    arguments, words = BAD[case]
    assert_refused(sslkit("predict", finished.folder, *arguments), words)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("name", ["gone", "."])
def test_a_folder_that_is_no_run(name: str) -> None:
    assert_refused(sslkit("predict", name, "--test"), "not a finished run")
    assert sslkit("show", name).code == 2
    assert not list(Path().iterdir())


def test_a_missing_stage_is_named(finished: Finished, tmp_path: Path) -> None:
    """The run folder alone was copied."""
    copy = tmp_path / "copied" / finished.folder.name
    copy.mkdir(parents=True)
    for file in finished.folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert_refused(sslkit("predict", copy, "--test"), "stages")
    assert sslkit("show", copy).code == 0


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_damaged_results_are_one_line(content: str, finished: Finished, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "results.json").write_text(content)
    assert_refused(sslkit("show", copy), "results.json")


def test_predicting_does_not_touch_the_run(finished: Finished) -> None:
    def state() -> dict[str, str]:
        files = [p for p in finished.runs.rglob("*") if p.is_file() and ".lock" not in p.name]
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    before = state()
    Image.new("L", (8, 8)).save("x.png")
    sslkit("predict", finished.folder, "x.png")
    sslkit("show", finished.folder)
    assert state() == before
