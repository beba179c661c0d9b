"""`sslkit predict`: what was measured is what comes out."""

from __future__ import annotations

import csv
import hashlib
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslkit.finished import inputs
from sslkit.finished import predict as prediction
from sslkit.prepare import prepare
from tests.cli.call import assert_refused, sslkit
from tests.cli.conftest import Finished
from tests.datasets.make import held, own


def table(path: str = "predictions.csv") -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_predicting_the_test_set_gives_the_reported_accuracy(finished: Finished) -> None:
    made = sslkit("predict", finished.folder, "--test", "--json")
    assert made.code == 0
    found = {key: value for key, value in made.results.items() if key != "schema"}
    errors = found.pop("errors")
    top1 = finished.call.json["headline"]["top1"]
    assert found == {"images": 797, "out": "predictions.csv", "labeled": 797, "top1": top1}
    assert len(table()) == 797
    assert set(table()[0]) == {"file", "label", "class", "confidence"}
    wrong = sorted((r for r in table() if r["label"] != r["class"]), key=lambda r: -float(r["confidence"]))
    assert len(wrong) == round(797 * (1 - top1))
    assert [f"{e['confidence']:.4f}" for e in errors] == [r["confidence"] for r in wrong[:10]]
    assert {(e["file"], e["label"], e["class"]) for e in errors} <= {(r["file"], r["label"], r["class"]) for r in wrong}


def test_folders_that_are_called_as_the_classes_are_labels(finished: Finished) -> None:
    """Of the nearest folder below the one that is named; other folders and what is hidden count for nothing."""
    places = {"d/3/a.png": "3", "d/7/more/b.png": "7", "d/7/3/c.png": "3", "d/other/d.png": "", "d/e.png": ""}
    for place in (*places, "d/.ipynb_checkpoints/f.png", "d/3/.g.png"):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), len(place)).save(place)
    done = sslkit("predict", finished.folder, "d")
    assert {row["file"]: row["label"] for row in table()} == places
    right = [row["label"] == row["class"] for row in table() if row["label"]]
    assert f"; 3 have a label, accuracy {100 * sum(right) / 3:.1f}%" in done.out
    assert ("most confident errors" in done.out) == (not all(right))
    assert "top-1" not in sslkit("predict", finished.folder, "d/3", "--out", "3.csv").out, "its own name is no label"


def test_markup_and_formulas_in_names_are_shown_as_they_are(finished: Finished) -> None:
    for label in range(10):  # some of them is wrong
        Path(f"d/{label}").mkdir(parents=True)
        Image.new("L", (8, 8)).save(f"d/{label}/[red]=1[nope].png")
    done = sslkit("predict", finished.folder, "d")
    assert done.code == 0
    assert done.out.count("[red]=1[nope].png") == 9


@pytest.mark.parametrize("network", ["student", "averaged"])
def test_the_network_can_be_chosen(network: str, finished: Finished) -> None:
    made = sslkit("predict", finished.folder, "--test", "--json", "--network", network)
    reported = finished.call.json["stages"][-1]["networks"][network]["top1"]
    assert made.json["top1"] == reported


def test_choosing_a_step_needs_a_validation_part(finished: Finished) -> None:
    for options in (["--network", "best"], ["--calibrated"]):
        assert_refused(sslkit("predict", finished.folder, "--test", *options), "validation part only", "--val")
    assert_refused(sslkit("predict", finished.folder, "--test", "--calibrated", "--network", "student"), "no temper")


def test_images_are_read_a_batch_at_a_time(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(7):
        Image.new("L", (8, 8), 30 * i).save(f"{i}.png")
    assert sslkit("predict", finished.folder, ".", "--all", "--out", "once.csv").code == 0
    monkeypatch.setattr(prediction, "BATCH", 3)
    assert sslkit("predict", finished.folder, ".", "--all", "--out", "parts.csv").code == 0
    assert table("parts.csv") == table("once.csv")


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
        Image.fromarray(held(prepared.images)[place, 0]).save(f"{i:04d}.png")
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


def test_images_that_cannot_be_read_have_a_row_that_says_why(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(6):
        place = Path(f"d/{i % 2}/{i}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        if i in (0, 3):
            place.write_text("no image")
        else:
            Image.new("L", (8, 8), 40 * i).save(place)
    monkeypatch.setattr(prediction, "BATCH", 2)
    made = sslkit("predict", finished.folder, "d", "--top", 2, "--json")
    assert made.code == 0, made.err
    rows = table()
    assert len(rows) == made.json["images"] == 6
    assert made.json["labeled"] == 4, "a row without a class is not judged"
    for row in rows:
        number = int(Path(row["file"]).stem)
        assert row["label"] == str(number % 2)
        alone = f"{number}.csv"
        if number in (0, 3):
            assert (row["class"], row["confidence"], row["class_2"]) == ("", "", "")
            assert row["file"] in row["status"]
            continue
        assert row["status"] == "read"
        sslkit("predict", finished.folder, row["file"], "--out", alone)
        assert table(alone)[0]["class"] == row["class"]
    assert made.err.count("unread: ") == 2


def test_the_most_probable_classes_and_one_for_what_is_not_known(finished: Finished) -> None:
    shown = sslkit("predict", finished.folder, "--test", "--all", "--top", 3, "--unknown-below", 0.15)
    assert shown.code == 0, shown.err
    for row in table():
        shares = {c: float(row[str(c)]) for c in range(10)}
        best = sorted(shares.values(), reverse=True)[:3]
        named = [row["class_2"], row["class_3"]]
        assert [float(row[k]) for k in ("confidence", "confidence_2", "confidence_3")] == pytest.approx(best, abs=1e-4)
        assert [shares[int(c)] for c in named] == pytest.approx(best[1:], abs=1e-4)
        assert (row["class"] == "unknown") == (best[0] < 0.15) or abs(best[0] - 0.15) < 1e-3
    for words in (("--top", 11), ("--top", 0), ("--unknown-below", 2)):
        assert_refused(sslkit("predict", finished.folder, "--test", "--out", "x.csv", *words), words[0])


def test_all_that_can_be_trained_from_can_be_predicted(finished: Finished) -> None:
    own(Path("pets"))
    files = sorted(str(file) for file in Path("pets").rglob("*.png"))
    Path("list.txt").write_text("\n".join(files) + "\n")
    Path("t.csv").write_text("path,label\n" + "".join(f"{file},{i % 2}\n" for i, file in enumerate(files)))
    found: dict[str, dict[str, str]] = {}
    for word in ("pets", "list.txt", "csv:t.csv", "folder:pets"):
        done = sslkit("predict", finished.folder, word, "--out", f"{len(found)}.csv", "--json")
        assert done.code == 0, done.err
        found[word] = {Path(row["file"]).name: row["class"] for row in table(f"{len(found)}.csv")}
        assert ("top1" in done.json) == (word == "csv:t.csv")
    assert len(found["pets"]) == len(files)
    assert all(one == found["pets"] for one in found.values())
    assert_refused(sslkit("predict", finished.folder, "csv:gone.csv", "--out", "x.csv"), "gone.csv")


def test_images_that_cannot_be_read_are_left_out_on_request(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("d").mkdir()
    for i in range(6):
        if i in (0, 4):
            Path(f"d/{i}.png").write_text("no image")
        else:
            Image.new("L", (8, 8), 40 * i).save(f"d/{i}.png")
    monkeypatch.setattr(prediction, "BATCH", 2)
    stopped = sslkit("predict", finished.folder, "d", "--on-bad-image", "stop")
    assert_refused(stopped, "d/0.png", "--on-bad-image mark")
    assert not Path("predictions.csv").exists()
    made = sslkit("predict", finished.folder, "d", "--on-bad-image", "skip", "--json")
    assert [row["file"] for row in table()] == [f"d/{i}.png" for i in (1, 2, 3, 5)]
    assert made.json["images"] == 4
    assert [("d/0.png" in made.json["skipped"][0]), ("d/4.png" in made.json["skipped"][1])] == [True, True]
    assert "skipped: d/4.png" in made.err
    alone = sslkit("predict", finished.folder, "d/5.png", "--out", "5.csv", "--json")
    assert table("5.csv")[0] == table()[3]
    assert "skipped" not in alone.json
    only = sslkit("predict", finished.folder, "d/0.png", "--out", "0.csv", "--on-bad-image", "skip")
    assert_refused(only, "no image can be read", "d/0.png")


BAD = {
    "nothing to predict": ([], "--test"),
    "both": (["--test", "x.png"], "give either"),
    "no such file": (["gone.png"], "gone.png"),
    "no image in the folder": (["empty"], "no image in empty"),
    "not an image": (["text.png"], "text.png"),
    "cut off": (["cut.png"], "cut.png"),
    "one of them": (["ok.png", "cut.png", "--on-bad-image", "stop"], "cut.png"),
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
        files = [p for p in finished.runs.rglob("*") if p.is_file()]
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    before = state()
    Image.new("L", (8, 8)).save("x.png")
    sslkit("predict", finished.folder, "x.png")
    sslkit("show", finished.folder)
    assert state() == before


def test_an_output_that_cannot_be_is_refused_before_anything_is_predicted(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "load", lambda *_: pytest.fail("loaded"))
    assert_refused(sslkit("predict", finished.folder, "--test", "--out", "gone/p.csv"), "there is no folder gone")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert_refused(sslkit("predict", finished.folder, "--test"), "nothing can be written to the folder .")


def test_folders_are_called_as_a_class_however_accents_are_written() -> None:
    apart = unicodedata.normalize("NFD", "été")
    assert inputs._label(Path("d", apart, "a.png"), Path("d"), ["b", "été"]) == 1


def test_a_run_that_was_copied_without_its_stages_says_what_is_missing(finished: Finished) -> None:
    shutil.copytree(finished.folder, "alone/run")
    refused = sslkit("predict", "alone/run", "--test")
    assert_refused(refused, "alone/stages/", "a run needs the folder stages beside it")
    shutil.copytree(finished.runs / "stages", "alone/stages")
    assert sslkit("predict", "alone/run", "--test").code == 0
