"""A run told to a tracker: all of its rows once and in their order, whatever happens on the way."""

from __future__ import annotations

import importlib.util
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from sslkit.machine import ranks
from sslkit.prepare import prepare
from sslkit.record import run_digest, tracking
from sslkit.store import Store
from sslkit.tracker import figure, row
from sslkit.training.engine import Engine
from tests.cli.call import assert_refused, run, sslkit
from tests.data.mosaics import mosaics
from tests.reliability.test_interrupt import send
from tests.trackers.readers import expected

PLUGIN = ("--plugin", Path(__file__).with_name("noted.py"))  # a part of the name of a run, as every plug-in
NOTED = (*PLUGIN, "--track", "noted")
TWO = ("--set", "finetune.steps=30", "--set", "semi.steps=40", "--algo", "fixmatch")
LONG = (*TWO, "--control")


def told(runs: str = "runs") -> list[dict[str, Any]]:
    (file,) = Path(runs).glob("*/told.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def figures(runs: str = "runs") -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for line in told(runs):
        values = line.get("row", {})
        for name, value in values.items():
            found.setdefault(name, []).append((int([*values.values()][-1]), value))
    return {name: rows for name, rows in found.items() if not name.startswith("result/")}


def test_names_of_figures_are_those_that_every_tracker_takes() -> None:
    assert figure("finetune+", "loss") == "finetune_plus/loss"
    assert figure("semi", "my{term}") == "semi/my_term_"
    line = {"step": 10, "lr": 1e-3, "precision": None, "loss": 2}
    assert [*row("semi", 10, line).items()] == [("semi/lr", 1e-3), ("semi/loss", 2.0), ("semi/step", 10)]


def test_a_run_is_told_once_with_its_results() -> None:
    made = run(*LONG, *NOTED, "--json")
    assert made.code == 0, made.err
    assert "tracked by noted: " in made.err
    first, *rows, last = told()
    assert first["run"] == made.json["run"]
    assert (first["algo"], first["steps"]) == ("fixmatch", 40)
    assert figures() == expected(Path("runs"))
    assert last == {"state": "finished"}
    results = rows[-1]["row"]
    assert results["result/top1"] == made.json["headline"]["top1"]
    assert [results["result/top1_low"], results["result/top1_high"]] == made.json["headline"]["interval"]
    measured = {found["stage"]: found["networks"]["averaged"]["macro_f1"] for found in made.json["stages"]}
    assert [results[f"result/{s}/macro_f1"] for s in ("finetune", "finetune_plus", "semi")] == [*measured.values()]


def test_a_finished_run_is_told_whole_and_not_twice() -> None:
    plain = run(*LONG, *PLUGIN, "--json")
    assert not list(Path("runs").glob("*/tracking.json"))
    assert run(*LONG, *NOTED, "--json").results == plain.results
    assert figures() == expected(Path("runs"))
    rows = [line for line in told() if "row" in line]
    assert run(*LONG, *NOTED, "--json").results == plain.results
    assert [line for line in told() if "row" in line] == rows


def test_the_result_has_the_name_of_its_score(tmp_path: Path) -> None:
    mosaics(tmp_path, 60)
    data = ("--data", f"csv:{tmp_path / 'labels.csv'}", "--multilabel", "--labels", "20", "--algo", "fixmatch")
    made = run(*data, *NOTED, "--json")
    assert made.code == 0, made.err
    result = told()[-2]["row"]
    assert result["result/map"] == made.json["headline"]["map"]
    assert [result["result/map_low"], result["result/map_high"]] == made.json["headline"]["interval"]
    assert not any("top1" in name for name in result)


def test_stages_that_others_trained_are_told_too() -> None:
    run(*LONG, "--json")
    other = run(*LONG, "--set", "semi.lr=2e-3", *NOTED, "--json")
    assert [stage["new"] for stage in other.json["stages"]] == [False, False, True]
    assert {"finetune/step", "semi/step"} <= figures().keys()


def test_what_a_stop_leaves_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        send(patch, "semi", 14, signal.SIGTERM)
        assert run(*TWO, *NOTED).code == 130
    before = figures()
    assert before["semi/step"] == [(10, 10), (15, 15)]
    assert told()[-1] == {"state": "stopped"}
    assert run(*TWO, *NOTED).code == 0
    assert figures() == expected(Path("runs"))
    assert len({line["id"] for line in told() if "id" in line}) == 1


def test_rows_without_a_checkpoint_behind_them_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies leaves rows in its log which the next one takes back: nobody has heard of them."""
    step = Engine.step

    def dying(self: Engine, index: int, log: Any) -> None:
        step(self, index, log)
        if self.spec.stage == "semi" and index == 11:
            self.save_every = 1e9  # the checkpoint of step 10 is the last one
        if self.spec.stage == "semi" and index == 34:
            raise RuntimeError("died")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", dying)
        with pytest.raises(RuntimeError, match="died"):
            run(*TWO, *NOTED, "--save-every", 0)
    (log,) = Path("runs/stages").glob(".*/metrics.jsonl")
    assert len(log.read_text().splitlines()) == 3
    assert figures()["semi/step"] == [(10, 10)]
    assert told()[-1] == {"state": "failed"}
    assert run(*TWO, *NOTED).code == 0
    assert figures() == expected(Path("runs"))


def test_a_tracker_that_fails_costs_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run(*LONG, "--runs", "plain", "--json")
    monkeypatch.setenv("FAIL_AT", "semi/step")
    made = run(*LONG, *NOTED, "--json")
    assert made.code == 0, made.err
    assert made.json["headline"] == plain.json["headline"]
    (said,) = [line for line in made.err.splitlines() if "failed" in line]
    assert said.startswith("noted failed and is left out: ConnectionError: the server is gone; ")
    assert figures().keys() == {name for name in expected(Path("runs")) if not name.startswith("semi/")}
    monkeypatch.delenv("FAIL_AT")
    assert run(*LONG, *NOTED).code == 0
    assert figures() == expected(Path("runs"))


def test_what_cannot_be_tracked_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_refused(run("--track", "wanbd"), "unknown tracker 'wanbd', did you mean 'wandb'?")
    assert_refused(run("--track", "tensorboard,,nope"), "unknown tracker 'nope'", "mlflow, tensorboard, trackio, wandb")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert_refused(run("--track", "mlflow"), "mlflow is not installed; pip install 'sslkit[mlflow]'")
    assert_refused(sslkit("compare", "--algo", "fixmatch", "--track", "trackio"), "pip install 'sslkit[trackio]'")
    assert_refused(sslkit("compare", "--track", "mlflow", "--cluster", "slurm"), "later without it")
    assert not Path("runs").exists()


def test_a_folder_of_a_trackers_name_is_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a_tracker_s_folder").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not tracking._installed("a_tracker_s_folder")
    assert tracking._installed("numpy")


def test_one_that_does_not_start_ends_the_run_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL_AT", "start")
    made = run(*NOTED)
    assert made.code == 2
    assert made.out == ""
    assert made.err.splitlines()[-1] == "error: --track noted: RuntimeError: no such server"
    assert not list(Path("runs/stages").glob("*"))


def test_of_two_processes_one_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    run(*NOTED)
    (folder,) = (path.parent for path in Path("runs").glob("*/run.json"))
    (folder / "told.jsonl").unlink()
    with Store("runs").claim(f"{folder.name}.track"):
        made = run(*NOTED)
    assert made.code == 0
    assert "another process tells noted of this run" in made.err
    assert not (folder / "told.jsonl").exists()


def test_stages_that_have_become_others_are_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run(*NOTED)
    about = next(Path("runs").glob("*/tracking.json"))
    known = json.loads(about.read_text())
    about.write_text(json.dumps(known | {"stages": {"semi": "0" * 16}}))
    run(*NOTED)
    now = json.loads(about.read_text())
    assert now["stages"] == known["stages"]
    assert now["id"] != known["id"]


def test_processes_that_do_not_lead_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "leads", lambda: False)
    mine = tracking.Tracking(print)
    assert ranks.led(lambda: mine.choose("tensorboard")) is None
    mine.follow("semi", Path("nowhere"))
    mine.conclude(Path("nowhere"), {})


def test_a_comparison_is_told_run_by_run() -> None:
    sets = ("backbone.name=vit_micro", "device=cpu", "finetune.steps=10", "semi.steps=10", "semi.batch=8", "semi.mu=2")
    words = ("--algo", "fixmatch", "--seeds", 2, *(word for key in sets for word in ("--set", key)))
    plain = sslkit("compare", *words, *PLUGIN, "--json")
    assert plain.code == 0, plain.err
    assert sslkit("compare", *words, *NOTED, "--json").code == 0
    files = [*Path("runs").glob("*/told.jsonl")]
    assert len(files) >= 2
    for file in files:
        assert json.loads(file.read_text().splitlines()[-1]) == {"state": "finished"}
    assert len([*Path("runs").glob("compare-*")]) == 1


def test_a_tracker_leaves_the_run_what_it_is() -> None:
    asked = {"backbone": "vit_micro", "device": "cpu"}
    first, other = (prepare(keys) for keys in (asked, asked | {"track": "mlflow"}))
    assert other.config.track == "mlflow"
    assert run_digest(first) == run_digest(other)
