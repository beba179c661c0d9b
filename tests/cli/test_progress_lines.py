"""`--progress json`: every line of standard error is an event by the published schema. `none`: sentences alone."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sslkit.cli import cli
from sslkit.cli.schema import published
from sslkit.terminal import told
from sslkit.terminal.told import Pace
from sslkit.training.engine import Engine
from tests.cli.call import Call, run, sslkit
from tests.cli.conftest import Finished

COMPARE = ["compare", "--algo", "fixmatch", "--seeds", "2", "--set=device=cpu", "--backbone", "vit_micro"]
COMPARE += [f"--set={stage}.{key}" for stage in ("finetune", "semi") for key in ("steps=3", "batch=8")]


@pytest.fixture(scope="module")
def line() -> Draft202012Validator:
    return Draft202012Validator(published(cli)["progress"])


def events(call: Call, line: Draft202012Validator) -> list[dict[str, Any]]:
    found = [json.loads(text) for text in call.err.splitlines()]
    for one in found:
        assert [*line.iter_errors(one)] == [], one
    return found


def named(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [one for one in found if one["event"] == name]


def test_a_run(line: Draft202012Validator) -> None:
    call = run("--progress", "json", "--val", "0.2", "--set", "semi.steps=20", "--json")
    assert call.code == 0, call.err
    found = events(call, line)
    assert [one["stage"] for one in named(found, "stage_begun")] == ["finetune", "semi"]
    assert [(one["stage"], one["step"], one["whole"]) for one in named(found, "stage_ended")] == [
        ("finetune", 3, True),
        ("semi", 20, True),
    ]
    (plan,) = named(found, "plan")
    assert [(one["stage"], one["steps"]) for one in plan["stages"]] == [("finetune", 3), ("semi", 20)]
    last = named(found, "step")[-1]
    assert (last["stage"], last["step"], last["steps"], last["eta_s"]) == ("semi", 20, 20, 0)
    assert last["images_per_s"] > 0
    assert {"supervised", "unlabeled"} <= {*last["losses"]}
    assert 0 <= last["pseudo_labels"]["coverage"] <= 1
    assert named(found, "validation")
    notes = [one["text"] for one in named(found, "note")]
    assert notes == call.json["notes"][: len(notes)], "what one is told the other is"


def test_lines_are_as_rare_as_they_may_be(line: Draft202012Validator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "OFTEN", 1e9)
    found = events(run("--progress", "json", "--set", "semi.steps=60", "--json"), line)
    assert [one["step"] for one in named(found, "step") if one["stage"] == "semi"] == [10, 60]
    monkeypatch.setattr(told, "OFTEN", 0)
    found = events(run("--progress", "json", "--set", "semi.steps=60", "--seed", "1", "--json"), line)
    assert [one["step"] for one in named(found, "step") if one["stage"] == "semi"] == [10, 20, 30, 40, 50, 60]


def test_the_pace_counts_from_where_it_was_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([5.0, 7.0, 9.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    pace = Pace()
    assert [pace(1000), pace(1010), pace(1040)] == [0, 5, 10]


def test_features_are_images(line: Draft202012Validator) -> None:
    call = run("--algo", "knn", "--stages", "probe", "--progress=json", "--json")
    assert call.code == 0, call.err
    seen = [one for one in named(events(call, line), "images") if one["what"] == "probe"]
    assert seen[-1]["done"] == seen[-1]["total"]


def test_a_comparison(line: Draft202012Validator, tmp_path: Path) -> None:
    call = sslkit(*COMPARE, "--runs", tmp_path, "--progress", "json", "--json")
    assert call.code == 0, call.err
    found = events(call, line)
    assert [(one["done"], one["total"]) for one in named(found, "runs")] == [(0, 2), (1, 2), (2, 2)]
    ended = named(found, "run_ended")
    assert [(one["method"], one["seed"], one["error"]) for one in ended] == [("fixmatch", 0, ""), ("fixmatch", 1, "")]
    assert named(found, "stage_begun") == [], "runs of a comparison are quiet"
    again = events(sslkit(*COMPARE, "--runs", tmp_path, "--progress", "json", "--json"), line)
    assert [(one["done"], one["total"]) for one in named(again, "runs")] == [(2, 2)]


def test_a_run_that_is_stopped_says_so_last(line: Draft202012Validator, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Engine.step

    def step(self: Engine, index: int, log: Any) -> None:
        real(self, index, log)
        self.stop = lambda: index == 1

    monkeypatch.setattr(Engine, "step", step)
    call = run("--progress", "json", "--json")
    assert call.code == 130
    found = events(call, line)
    assert found[-1]["event"] == "stopped"
    assert found[-1]["text"].endswith("the same command goes on")
    (ended,) = named(found, "stage_ended")
    assert ended["whole"] is False
    assert call.json["code"] == 130


@pytest.mark.parametrize(
    ("arguments", "event"),
    [(["run", "--algo", "fixmach"], "error"), (["run", "--nope"], "error"), (["check", "none"], "status")],
)
@pytest.mark.parametrize("option", [["--progress", "json"], ["--progress=json"]])
def test_other_ends_are_lines_too(
    arguments: list[str], event: str, option: list[str], line: Draft202012Validator
) -> None:
    found = events(sslkit(*arguments, *option), line)
    assert found[-1]["event"] == event


def test_warnings_of_python_are_notes(
    line: Draft202012Validator, monkeypatch: pytest.MonkeyPatch, finished: Finished
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # it is put back
    monkeypatch.setattr("sslkit.cli.finished.show_errors", lambda _: warnings.warn("beware", stacklevel=1))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        call = sslkit("predict", finished.folder, "--test", "--progress", "json")
    assert "beware" in [one.get("text") for one in events(call, line)]


def test_without_progress_sentences_stay(finished: Finished) -> None:
    call = run("--progress", "none", "--runs", "other")
    assert call.code == 0
    assert "digits: 8 x 8 px" in call.err
    assert "━" not in call.err
    assert "━" in run("--runs", "third").err
