"""`sslkit run` and `show`, from the first command to the last."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

import sslkit as package
from sslkit.store import checkpoint
from sslkit.training.engine import Engine
from tests.cli.call import TINY, assert_refused, folder_of, run, sslkit
from tests.cli.conftest import Finished

pytestmark = pytest.mark.usefixtures("untimed")
STAGE_FILES = {"metrics.jsonl", "predictions.safetensors", "result.json", "spec.json", "weights.safetensors"}


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: object) -> None:
        raise AssertionError("this must not train")

    monkeypatch.setattr(Engine, "step", step)


def test_results_of_a_run(finished: Finished) -> None:
    results = finished.call.json
    assert [row["stage"] for row in results["stages"]] == ["finetune", "finetune+", "semi"]
    rows = {row["stage"]: row for row in results["stages"]}
    assert rows["semi"]["method"] == "ema_teacher x prob_pseudo"
    for row in rows.values():
        assert {"averaged", "student"} <= set(row["networks"])
        assert set(row["networks"]["averaged"]) == {"top1", "top5", "macro_f1", "nll", "ece"}
        assert row["best"] is None
        assert row["steps"] == 3
    top1 = {name: row["networks"]["averaged"]["top1"] for name, row in rows.items()}
    headline = results["headline"]
    assert (headline["network"], headline["step"], headline["top1"]) == ("averaged", "last", top1["semi"])
    n, p = headline["images"], top1["semi"]
    assert n == 797
    for end in headline["interval"]:  # Wilson: ends are those shares that the observed one is 1.96 deviations from
        assert abs(p - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / n), rel=1e-4)
    assert results["gains"]["semi - finetune+"] == pytest.approx(top1["semi"] - top1["finetune+"])
    assert {"coverage", "recall"} <= set(rows["semi"]["pseudo_labels"])
    assert results["pretrain"] == "skipped"


def test_what_lies_in_the_folders(finished: Finished) -> None:
    assert {p.name for p in finished.folder.iterdir()} == {
        "config.toml",
        "data.json",
        "results.json",
        "run.json",
        "split.json",
    }
    about = json.loads((finished.folder / "run.json").read_text())
    for key in about["stages"].values():
        names = {p.name for p in (finished.runs / "stages" / key).iterdir() if not p.name.startswith("events")}
        assert names == STAGE_FILES
    split = json.loads((finished.folder / "split.json").read_text())
    assert [len(split[name]) for name in ("labeled", "pool", "val", "test")] == [100, 900, 0, 797]
    lines = [
        json.loads(line)
        for line in (finished.runs / "stages" / about["stages"]["semi"] / "metrics.jsonl").read_text().splitlines()
    ]
    assert lines[-1]["step"] == 3
    assert {"supervised", "unlabeled", "grad_norm", "lr", "coverage"} <= set(lines[-1])


def test_stored_predictions_have_the_reported_accuracy(finished: Finished) -> None:
    for row in finished.call.json["stages"]:
        stored, about = checkpoint.load(finished.runs / "stages" / row["key"] / "predictions.safetensors")
        assert len(about["classes"]) == 10
        for name, found in row["networks"].items():
            right = (stored[name].argmax(1) == stored["label"]).double().mean()
            assert found["top1"] == pytest.approx(float(right))


def test_a_finished_run_is_shown_and_not_trained(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_training(monkeypatch)
    again = run(*finished.arguments)
    assert again.code == 0
    assert again.results == finished.call.results
    assert "is finished" in again.err


def test_show_prints_the_same(finished: Finished) -> None:
    assert sslkit("show", finished.folder, "--json").results == finished.call.results
    shown = sslkit("show", finished.folder)
    assert shown.code == 0
    for word in ("finetune+", "semi", "averaged", "student", "top-1", "skipped", "one seed is no evidence"):
        assert word in shown.out


def test_another_number_of_threads_or_name_is_no_other_result(finished: Finished) -> None:
    """Threads are not in the run's hash: the finished run is found."""
    again = run(*finished.arguments, "--threads", 2)
    assert again.results == finished.call.results
    torch.set_num_threads(1)


def test_stages_are_shared_between_runs(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another name for the run, and a run without its control arm: nothing is trained."""
    forbid_training(monkeypatch)
    named = run(*finished.arguments, "--name", "../../other [/red]")
    assert named.code == 0
    assert named.json["run"].startswith("other")
    assert [row["new"] for row in named.json["stages"]] == [False, False, False]
    assert (finished.runs / named.json["run"] / "results.json").is_file()
    fewer = run(*finished.arguments, "--no-control")
    assert fewer.code == 0
    assert [row["key"] for row in fewer.json["stages"]] == [finished.call.json["stages"][i]["key"] for i in (0, 2)]
    assert list(fewer.json["gains"]) == ["semi - finetune"]
    assert "--control trains finetune+" in sslkit("show", finished.runs / fewer.json["run"]).out


def test_again_repeats_beside_the_first_and_compares() -> None:
    first = run("--runs", "r", "--json")
    again = run("--runs", "r", "--json", "--again")
    assert again.code == 0
    assert again.json["run"] == first.json["run"] + "-2"
    assert "agree with the first run bit for bit" in again.json["repeats"]
    assert all(row["new"] for row in again.json["stages"])
    assert [row["networks"] for row in again.json["stages"]] == [row["networks"] for row in first.json["stages"]]
    config = Path("r") / first.json["run"] / "config.toml"
    third = sslkit("run", "--config", config, "--runs", "r", "--json", "--again")
    assert third.json["run"] == first.json["run"] + "-3"


def test_again_says_where_weights_differ() -> None:
    first = run("--runs", "r", "--json")
    key = first.json["stages"][-1]["key"]
    path = Path("r/stages") / key / "weights.safetensors"
    tensors, about = checkpoint.load(path)
    name = next(n for n in tensors if n.startswith("student."))
    tensors[name] = tensors[name] + 0.5
    checkpoint.save(path, tensors, about)
    again = run("--runs", "r", "--json", "--again")
    assert "differ" in again.json["repeats"]
    assert "semi by 0.5" in again.json["repeats"]


def test_again_needs_a_finished_run() -> None:
    assert_refused(run("--again", "--runs", "r"), "not finished", "without --again")
    assert not Path("r").exists()


def test_config_of_a_run_is_the_same_run(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_training(monkeypatch)
    config = finished.folder / "config.toml"
    again = sslkit("run", "--config", config, "--runs", finished.runs, "--json")
    assert again.results == finished.call.results


def test_python_gives_the_numbers_of_the_command_line(finished: Finished, tmp_path: Path) -> None:
    request = {
        "backbone": "vit_micro",
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "control.run": True,
        "finetune.steps": 3,
        "finetune.batch": 8,
        "finetune.lr": 1e-3,
        "semi.steps": 3,
        "semi.batch": 8,
        "semi.mu": 2,
    }
    made = package.run(request, runs=tmp_path / "py")
    expected = finished.call.json
    assert made.results["run"] == expected["run"]
    assert made.folder == tmp_path / "py" / expected["run"]
    for mine, theirs in zip(made.results["stages"], expected["stages"], strict=True):
        assert mine["key"] == theirs["key"]
        assert mine["networks"] == theirs["networks"]


def test_validation_makes_a_best_and_leaves_the_headline_alone() -> None:
    made = run("--val", 0.2, "--json", "--runs", "r")
    assert made.code == 0
    for row in made.json["stages"]:
        assert {"step", "val_top1", "top1"} <= set(row["best"])
        assert Path("r/stages", row["key"], "best.safetensors").is_file()
    shown = sslkit("show", folder_of(made, Path("r")))
    assert "best: averaged weights" in shown.out
    assert made.json["headline"]["step"] == "last"


def test_tuning_hides_the_test_and_says_so() -> None:
    made = run("--tune", "--json", "--runs", "r")
    assert made.code == 0
    assert made.json["config"]["seed"] == 100
    assert "stay hidden" in " ".join(made.err.split())
    split = json.loads((folder_of(made, Path("r")) / "split.json").read_text())
    assert max(split["test"] + split["labeled"] + split["pool"]) < 1000


def test_plan_is_said_before_training(finished: Finished) -> None:
    for words in (
        "100 labelled, 900 unlabelled (without the labelled ones), 797 test",
        "cpu, fp32, 1 thread",
        "pretrain",
        "plan",
    ):
        assert words in finished.call.err


def test_help_and_version() -> None:
    assert "run" in sslkit("--help").out
    assert package.__version__ in sslkit("--version").out
    for command in ("run", "show", "predict", "list"):
        assert sslkit(command, "-h").code == 0
    assert TINY[0] in sslkit("run", "--help").out
