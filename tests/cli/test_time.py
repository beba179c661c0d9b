"""`sslkit run --time`: steps from timed ones, set once and stored. What steps cost is made up here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sslkit.errors import UserError
from sslkit.machine import Machine
from sslkit.prepare import prepare
from sslkit.record import budget
from sslkit.record.stages import stages
from sslkit.terminal import screen
from sslkit.training.spec import Spec
from sslkit.training.timing import Seconds
from tests.cli.call import Call, assert_refused, folder_of, sslkit

SMALL = (
    *("--backbone", "vit_micro", "--device", "cpu", "--precision", "fp32", "--threads", "1", "--no-control"),
    *("--set", "finetune.batch=8", "--set", "semi.batch=8", "--set", "semi.mu=1", "--json"),
)
COST = {"pretrain": 100.0, "finetune": 50.0, "semi": 200.0}  # seconds of a step, so that start-up does not matter


class Clock:
    """What is measured, and how often."""

    def __init__(self) -> None:
        self.factor, self.asked = 1.0, 0

    def steps(self, specs: Sequence[Spec], *_: Any) -> dict[str, Seconds]:
        self.asked += 1
        return {spec.key: Seconds(self.factor * COST[spec.stage], 0.0) for spec in specs}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(budget, "step_seconds", made.steps)
    monkeypatch.setattr(budget, "evaluation_seconds", lambda *_: 7.0)
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    return made


def run(*arguments: object) -> Call:
    made = sslkit("run", *SMALL, *arguments)
    assert made.code == 0, made.err
    return made


def steps(made: Call) -> dict[str, int]:
    return {row["stage"]: row["steps"] for row in made.json["stages"]}


def test_the_steps_and_evaluation_fill_the_time_in_their_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "evaluation_seconds", lambda *_: 700.0)
    Path("ratio.toml").write_text("[finetune]\nsteps = 100\n[semi]\nsteps = 200\n")
    made = run("--time", "2h", "--config", "ratio.toml")
    found = steps(made)
    assert found["semi"] == pytest.approx(2 * found["finetune"], abs=1)
    used = 1400 + sum(COST[stage] * n for stage, n in found.items())
    assert 0.8 * 7200 < used < 0.9 * 7200
    about = json.loads((folder_of(made, Path("runs")) / "run.json").read_text())
    assert about["machine"]["steps"] == found
    assert made.json["machine"]["steps"] == found
    assert "steps are set for a run of about 2.0 h" in made.err


def test_the_control_arm_costs_as_well(clock: Clock) -> None:
    alone = steps(run("--time", "90m"))
    made = sslkit("run", *[word for word in SMALL if word != "--no-control"], "--control", "--time", "90m")
    with_control = steps(made)
    assert with_control["finetune+"] == with_control["semi"] < alone["semi"]


def test_pre_training_is_one_of_the_stages() -> None:
    Path("ratio.toml").write_text("".join(f"[{stage}]\nsteps = 100\n" for stage in COST))
    sets = ("--set", "pretrain.batch=8", "--set", "pretrainer.decoder_depth=1", "--config", "ratio.toml")
    made = run("--time", "75m", "--stages", "pretrain,finetune,semi", *sets)
    found = steps(made)
    assert found["pretrain"] == found["finetune"] == found["semi"] == int((0.9 * 75 * 60 - 21 - 60) // 350)


def test_it_is_measured_once_for_a_run(clock: Clock) -> None:
    first = run("--time", "1h")
    assert clock.asked == 1
    folder = folder_of(first, Path("runs"))
    clock.factor = 3.0
    for same in (("--time", "1h"), ("--time", "0h60m"), ("--time", "3600s"), ("--config", folder / "config.toml")):
        again = run(*same)
        assert folder_of(again, Path("runs")) == folder
        assert again.results == first.results
    assert clock.asked == 1
    assert folder_of(run("--time", "150m"), Path("runs")) != folder
    assert clock.asked == 2


def test_a_run_that_was_cut_off_or_is_repeated_keeps_its_steps(clock: Clock) -> None:
    first = run("--time", "1h")
    folder = folder_of(first, Path("runs"))
    (folder / "results.json").unlink()
    clock.factor = 3.0
    assert steps(run("--time", "1h")) == steps(first)
    repeated = run("--time", "1h", "--again")
    assert steps(repeated) == steps(first)
    assert "agree with the first run bit for bit" in repeated.json["repeats"]
    assert clock.asked == 1


def test_the_averages_memory_follows_the_steps() -> None:
    made = run("--time", "1h")
    spec = json.loads((Path("runs/stages") / made.json["stages"][-1]["key"] / "spec.json").read_text())
    assert spec["average"]["decay"] == 1 - 10 / steps(made)["semi"]
    assert spec["training"]["steps"] == steps(made)["semi"] != 1000


MISTAKES = {
    "steps as well": (["--time", "2h", "--set", "semi.steps=10"], ["--time", "semi.steps", "drop one"]),
    "epochs as well": (["--time", "2h", "--set", "pretrain.epochs=3"], ["pretrain.epochs"]),
    "no time": (["--time", "soon"], ["2h, 90m, 45s", "'soon'"]),
    "a number without a unit": (["--time", "90"], ["2h, 90m, 45s"]),
    "nothing": (["--time", "0h"], ["2h, 90m, 45s"]),
    "empty": (["--time", ""], ["2h, 90m, 45s"]),
    "too short": (["--time", "45s"], ["too short", "10 steps of every stage"]),
    "below zero": (["--set", "time=-5"], ["time must be 1 or more"]),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line_and_leave_nothing(case: str) -> None:
    arguments, words = MISTAKES[case]
    assert_refused(sslkit("run", *SMALL, *arguments), *words)
    assert not list(Path().iterdir())


def test_what_it_says_it_needs_is_enough() -> None:
    refused = sslkit("run", *SMALL, "--time", "2m")
    needed = float(refused.err.split("need ")[1].split(" min")[0])
    assert steps(run("--time", f"{needed + 0.2:.1f}m")) == {"finetune": 10, "semi": 10}


def test_it_is_shown_and_can_stand_in_a_file() -> None:
    Path("evening.toml").write_text('time = "1.5h"\n')
    shown = sslkit("run", "--config", "evening.toml", "--show-config", "--json")
    assert shown.json["config"]["time"] == 5400.0


def test_neither_several_processes_nor_comparisons_have_it() -> None:
    prepared = prepare({"time": 3600.0, "backbone": "vit_micro"})
    with pytest.raises(UserError, match="one process"):
        budget.within(Machine("cpu", "fp32", 1, processes=2), prepared, 0.0)
    with pytest.raises(UserError, match="the arms of a comparison have the same steps"):
        stages(prepared, Machine("cpu", "fp32", 1))
