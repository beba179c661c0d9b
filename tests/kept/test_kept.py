"""Stores as earlier versions left them are read, shown and predicted from, and unfinished runs are gone on with.

A key that is added to the configuration must leave the names of runs and the keys of stages that do not use it: leave
it out of `run_digest` and of the specification where it has its default.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from sslkit.harness import load
from sslkit.machine import description
from tests.cli.call import sslkit
from tests.kept.make import CUT, FINISHED

KEPT = sorted(Path(__file__).parent.glob("*.tar.xz"))
PLUGIN = ("--plugin", "tiny.py")


@pytest.fixture(params=KEPT, ids=lambda file: file.name.partition(".")[0])
def runs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def run_of(runs: Path, begins: str, stages: int) -> Path:
    """The run whose name begins so and that has so many stages."""
    found = [
        file.parent
        for file in runs.glob(f"{begins}*/run.json")
        if len(json.loads(file.read_text("utf-8"))["stages"]) == stages
    ]
    return next(run for run in found if "val = 0.25" in (run / "config.toml").read_text("utf-8") or stages == 2)


def read(run: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((run / "results.json").read_text("utf-8"))
    return found


def test_there_are_kept_stores() -> None:
    assert {"f99e19c.tar.xz", "rooms.tar.xz"} <= {file.name for file in KEPT}


def test_a_finished_run_is_shown_and_known(runs: Path) -> None:
    run = run_of(runs, "folder-ema_teacher-prob_pseudo-tiny", 3)
    shown = sslkit("show", run, "--json")
    assert shown.results == read(run)
    assert "semi is ema_teacher" in sslkit("show", run).out
    again = sslkit(*FINISHED, "--json")
    assert again.code == 0, again.err
    assert "is finished" in again.err
    assert again.results == read(run)


@pytest.mark.parametrize("network", ["averaged", "student", "best"])
def test_a_finished_run_predicts_as_it_did(network: str, runs: Path) -> None:
    run = run_of(runs, "folder-ema_teacher-prob_pseudo-tiny", 3)
    called = sslkit("predict", run, "--test", "--all", "--network", network, *PLUGIN, "--json")
    assert called.code == 0, called.err
    row = json.loads((run / "results.json").read_text("utf-8"))["stages"][-1]
    known = row["best"] if network == "best" else row["networks"][network]
    assert called.json["top1"] == pytest.approx(known["top1"])
    if network == "best":
        return
    logits = load_file(runs / "stages" / row["key"] / "predictions.safetensors")[network]
    p = np.exp(logits - logits.max(1, keepdims=True))
    told = pd.read_csv("predictions.csv")[row_classes(run)].to_numpy()
    np.testing.assert_allclose(told, p / p.sum(1, keepdims=True), atol=2e-4)


def row_classes(run: Path) -> list[str]:
    return list(json.loads((run / "split.json").read_text("utf-8"))["classes"])


def test_a_comparison_has_its_table(runs: Path) -> None:
    called = sslkit("table", "--json")
    assert called.code == 0, called.err
    stored = json.loads(Path("table.json").read_text("utf-8"))
    assert called.json["rows"] == stored["rows"]
    assert called.json["comparison"] == stored["comparison"] | {"first_seed": 0}
    frame = load(next(runs.glob("compare-*")))
    assert list(frame["top1"]) == [row["top1"] for row in stored["rows"]]


def test_all_of_it_is_listed(runs: Path) -> None:
    listed = sslkit("runs", "ls", "--json").json
    assert sorted(run["state"] for run in listed["runs"]) == ["finished"] * 5 + ["unfinished"]
    assert [len(comparison["runs"]) for comparison in listed["comparisons"]] == [4]


def test_an_unfinished_run_is_gone_on_with_or_says_what_changed(runs: Path) -> None:
    """To the same bits where code, torch and processor are the same; else by one line, and the stage anew."""
    run = run_of(runs, "folder-flexmatch", 2)
    before = json.loads((run / "run.json").read_text("utf-8"))
    called = sslkit(*CUT, "--json")
    assert called.code == 0, called.err
    after = json.loads((run / "run.json").read_text("utf-8"))
    assert {row["stage"]: row["key"] for row in called.json["stages"]} == after["stages"]
    said = [line for line in called.err.splitlines() if "trained anew" in line]
    if after["stages"] == before["stages"]:
        assert "semi goes on from step 10" in called.err
        assert not said
        compare(runs / "stages" / after["stages"]["semi"] / "weights.safetensors", before["versions"])
        return
    assert len(said) == 1
    first, _, changed = said[0].partition("changed since it was begun: ")
    assert all(label in first for label in after["stages"])
    assert all(what.startswith("the code of ") for what in changed.split(", ")), "see what this file opens with"


def compare(weights: Path, versions: dict[str, str]) -> None:
    now = description()
    same = all(now[name] == versions[name] for name in ("torch", "numpy", "processor"))
    found, whole = load_file(weights), load_file("whole.safetensors")
    assert found.keys() == whole.keys()
    for name in whole:
        np.testing.assert_allclose(found[name], whole[name], rtol=0 if same else 1e-2, atol=0 if same else 1e-3)
