"""Early stopping by the validation part: when a stage ends, that going on is exact, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit.prepare import prepare
from sslkit.record.stages import stages
from sslkit.terminal import screen
from sslkit.training.engine import Engine
from tests.cli.call import assert_refused, run
from tests.kernel.make import CPU, TINY, job

NOISY = {"data__val": 0.3, "finetune__steps": 100, "finetune__lr": 0.02}  # the validation goes up and down


def engine(folder: Path, **more: Any) -> Engine:
    folder.mkdir(exist_ok=True)
    return Engine(job("finetune", **NOISY, **more), folder, save_every=0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A stage without patience, and its folder."""
    folder = tmp_path_factory.mktemp("patience") / "whole"
    return engine(folder).train(), folder


def validations(folder: Path) -> list[tuple[int, float]]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines())
    return [(line["step"], line["val_top1"]) for line in lines if "val_top1" in line]


def ends(seen: list[tuple[int, float]], patience: int) -> int:
    """The step at which `patience` validations in a row were no better than the best before, by counting."""
    best, worse = -1.0, 0
    for step, top1 in seen:
        best, worse = (top1, 0) if top1 > best else (best, worse + 1)
        if worse == patience:
            return step
    return seen[-1][0]


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_a_stage_ends_when_patience_does(patience: int, whole: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    ended, folder = whole
    seen = validations(folder)
    assert (ended["steps"], len(seen)) == (100, 10)
    expected = ends(seen, patience)
    found = engine(tmp_path / "early", eval__patience=patience).train()
    assert found["steps"] == expected
    assert validations(tmp_path / "early") == [one for one in seen if one[0] <= expected], "nothing else has changed"
    if patience < 4:
        assert expected < 100


def test_going_on_after_the_last_step_trains_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = engine(tmp_path / "quiet", eval__patience=1).train()
    with monkeypatch.context() as patch:
        patch.delattr(Engine, "_finish")
        with pytest.raises(AttributeError):
            engine(tmp_path / "killed", eval__patience=1).train()
    torch.rand(3)
    assert engine(tmp_path / "killed", eval__patience=1).train()["steps"] == expected["steps"]
    for name in ("weights", "predictions"):
        quiet, killed = ((tmp_path / folder / f"{name}.safetensors").read_bytes() for folder in ("quiet", "killed"))
        assert quiet == killed


def test_it_is_in_the_keys_of_stages_with_a_head() -> None:
    asked = TINY | {"data.val": 0.3, "stages": "pretrain,finetune,semi", "pretrain.steps": 2}
    plain, patient = ([s.spec for s in stages(prepare(asked | more), CPU)] for more in ({}, {"eval.patience": 2}))
    assert [a.key == b.key for a, b in zip(plain, patient, strict=True)] == [True, False, False]


def test_a_run_says_that_a_stage_ended_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    keys = {k.replace("__", "."): v for k, v in NOISY.items()} | {"eval.patience": 1, "stages": "finetune"}
    made = run(*(word for k, v in keys.items() for word in ("--set", f"{k}={v}")), "--json")
    assert made.code == 0, made.err
    (row,) = made.json["stages"]
    said = f"stage finetune ended at step {row['steps']} of 100: its validation was best at step {row['best']['step']}"
    assert said in made.json["remarks"]


def test_without_a_validation_part_it_is_refused() -> None:
    assert_refused(run("--set", "eval.patience=2"), "eval.patience needs a validation part: add --val")
