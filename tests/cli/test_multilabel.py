"""Images with several labels: a run, its table, predictions, files for other programs, and a comparison."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from sklearn.metrics import average_precision_score

from sslkit.harness.numbers.frame import load
from sslkit.store import checkpoint
from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.data.mosaics import mosaics


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    mosaics(folder, 150)
    return folder


def asked(made: Path) -> list[object]:
    return ["--data", f"csv:{made / 'labels.csv'}", "--multilabel", "--labels", "60", "--runs", made / "runs"]


@pytest.fixture(scope="module")
def finished(made: Path) -> Path:
    call = run(*asked(made), "--val", "0.3", "--algo", "fixmatch", "--json")
    assert call.code == 0, call.err
    head = call.json["headline"]
    assert "top1" not in head
    low, high = head["interval"]
    assert low <= head["map"] <= high
    assert head["images"] == 30
    last = call.json["stages"][-1]
    assert {*last["networks"]["averaged"]} == {"map", "micro_f1", "macro_f1", "nll"}
    assert len(last["calibration"]["thresholds"]) == 4
    return folder_of(call, made / "runs")


def test_the_table_says_what_it_measured(finished: Path, made: Path) -> None:
    shown = sslkit("show", finished)
    assert shown.code == 0, shown.err
    for words in (
        "mAP %",
        "F1 micro",
        "bootstrap's 95% interval",
        "Thresholds by the best F1 on only 18 validation images",
    ):
        assert words in shown.out
    assert "top-1" not in shown.out
    listed = sslkit("runs", "--runs", made / "runs")
    assert "mAP " in listed.out


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_predictions_of_the_test_part(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    call = sslkit("predict", finished, "--test", "--out", out, "--all", "--json")
    assert call.code == 0, call.err
    found, classes = rows(out), ["one", "three", "two", "zero"]
    assert [*found[0]] == ["file", "label", "labels", *classes]
    stored = checkpoint.load(next((finished.parent / "stages").glob("*/predictions.safetensors")))[0]
    assert stored["label"].shape == (30, 4)
    truth = [[int(name in row["label"].split(";")) for name in classes] for row in found]
    p = [[float(row[name]) for name in classes] for row in found]
    assert call.json["map"] == pytest.approx(average_precision_score(truth, p, average="macro"), abs=2e-3)
    cuts = json.loads((finished / "results.json").read_text())["stages"][-1]["calibration"]["thresholds"]
    sure = [(row, c) for row, each in zip(found, p, strict=True) for c in range(4) if abs(each[c] - cuts[c]) > 1e-3]
    assert len(sure) > 100
    for row, c in sure:  # printed probabilities are rounded
        assert (classes[c] in row["labels"].split(";")) == (float(row[classes[c]]) >= cuts[c])
    assert call.json["labeled"] == 30


def test_predictions_of_files_and_refusals(finished: Path, made: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    call = sslkit("predict", finished, made / "im", tmp_path / "broken.png", "--out", tmp_path / "p.csv")
    assert call.code == 0, call.err
    found = rows(tmp_path / "p.csv")
    assert len(found) == 151
    assert (found[-1]["labels"], found[0]["status"]) == ("", "read")
    assert "broken.png" in found[-1]["status"]
    assert_refused(sslkit("predict", finished, made / "im", "--out", tmp_path / "q.csv", "--top", "2"), "--top")
    assert_refused(sslkit("predict", finished, "--test", "--calibrated", "--out", tmp_path / "q.csv"), "--calibrated")
    assert_refused(sslkit("audit", finished, "--out", tmp_path / "a"), "knows one class an image")
    assert_refused(sslkit("advise", f"csv:{made / 'labels.csv'}", "--multilabel"), "several labels")


def test_a_probe_starts_the_head(made: Path, tmp_path: Path) -> None:
    words = [*asked(made)[:-1], tmp_path / "runs", "--algo", "fixmatch", "--stages", "probe,finetune,semi", "--json"]
    call = run(*words)
    assert call.code == 0, call.err
    rows = {row["stage"]: row["networks"]["averaged"]["map"] for row in call.json["stages"]}
    assert [*rows] == ["probe", "finetune", "semi"]
    assert rows["probe"] > 0.3, "chance is a quarter"


def test_labels_of_new_tables_are_judged(finished: Path, made: Path, tmp_path: Path) -> None:
    """As they were trained on, as predict writes them, and in a parquet file; of none of the classes, too."""
    told = []
    for number, data in enumerate((f"csv:{made / 'labels.csv'}", f"csv:{made / 'hot.csv'}", f"parquet:{made / 'p'}")):
        call = sslkit("predict", finished, data, "--out", tmp_path / f"{number}.csv", "--json")
        assert call.code == 0, call.err
        told.append([call.json[name] for name in ("labeled", "map", "micro_f1")])
    assert told[0] == told[1] == told[2]
    assert told[0][0] == 150
    found = rows(tmp_path / "0.csv")
    assert any(row["label"] == ";" for row in found)
    assert all(row["labels"] for row in found)
    lines = ["path,labels", *(f"{made / row['file']},{row['labels']}" for row in found)]
    (tmp_path / "again.csv").write_text("\n".join(lines))
    again = sslkit("predict", finished, f"csv:{tmp_path / 'again.csv'}", "--out", tmp_path / "a.csv", "--json")
    assert again.json["micro_f1"] == 1, "its own words"


def test_other_programs_get_a_sigmoid(finished: Path, tmp_path: Path) -> None:
    call = sslkit("export", finished, "--format", "torch", "--out", tmp_path / "m.pt2")
    assert call.code == 0, call.err
    about = json.loads((tmp_path / "m.pt2.json").read_text())
    assert about["inside"]["sigmoid"] is True
    assert len(about["thresholds"]) == 4
    p = torch.export.load(tmp_path / "m.pt2").module()(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
    assert p.sum(1).tolist() != pytest.approx([1, 1])
    call = sslkit("export", finished, "--format", "timm", "--out", tmp_path / "timm")
    assert call.code == 0, call.err
    assert json.loads((tmp_path / "timm" / "config.json").read_text())["sslkit"]["multilabel"] is True


def test_a_comparison_is_by_map(made: Path) -> None:
    sets = [
        word for key in ("finetune.steps=3", "semi.steps=3", "precision=fp32", "threads=1") for word in ("--set", key)
    ]
    words = ("--algo", "fixmatch,mean_teacher", "--backbone", "vit_micro", "--seeds", "3")
    data = ("--data", f"csv:{made / 'labels.csv'}", "--set", "data.multilabel=true", "--labels", "60")
    call = sslkit("compare", *data, "--runs", made / "runs", *words, *sets)
    assert call.code == 0, call.err
    assert "mAP %" in call.out
    assert "top-1" not in call.out
    folder = next((made / "runs").glob("compare-*"))
    frame = load(folder)
    assert {"map", "micro_f1"} < {*frame.columns}
    assert frame["map"].between(0, 100).all()
    page = sslkit("table", folder, "--format", "html", "--out", made / "t.html")
    assert page.code == 0, page.err
    assert "Points of mAP on the test images" in (made / "t.html").read_text("utf-8")


def test_the_report_counts_labels(made: Path) -> None:
    call = sslkit("data", f"csv:{made / 'labels.csv'}", "--multilabel", "--labels", "60", "--json")
    assert call.code == 0, call.err
    assert [one["name"] for one in call.json["classes"]] == ["one", "three", "two", "zero"]
    assert min(one["labeled"] for one in call.json["classes"]) > 10
    assert call.json["imbalance"] < 3


def test_views_are_drawn(made: Path, finished: Path, tmp_path: Path) -> None:
    data = ("--data", f"csv:{made / 'labels.csv'}", "--set", "data.multilabel=true")
    assert sslkit("show-views", *data, "--n", 2, "--out", tmp_path / "a.png").code == 0
    assert sslkit("show-views", finished, "--n", 2, "--out", tmp_path / "b.png").code == 0
