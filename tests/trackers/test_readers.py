"""What trackers have of a run, by their own readers, is what its logs say; also of a run that was stopped.

TensorBoard is always there; of the others those that are installed, and where REQUIRE_TRACKERS is set MLflow and wandb
must be. `python -m tests.trackers` kills runs, which takes longer.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.call import assert_refused, run
from tests.reliability.test_interrupt import send
from tests.trackers.readers import READERS, differences, there

RUN = ("--algo", "fixmatch", "--control", "--set", "finetune.steps=30", "--set", "semi.steps=40")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All that a tracker writes is within the folder of the test."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT", "TRACKIO_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


SLOW = [name for name in READERS if name != "tensorboard"]  # MLflow makes forty tables, wandb starts a process


@pytest.fixture(params=["tensorboard", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def tracker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    name = str(request.param)
    if not there(name) and not (os.environ.get("REQUIRE_TRACKERS") and name in ("mlflow", "wandb")):
        pytest.skip(f"{name} is not installed")
    if name == "trackio":  # which reads its variable once
        import trackio
        from trackio import sqlite_storage, utils

        for module in (trackio, utils, sqlite_storage):
            monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    return name


def test_a_stopped_run_that_was_gone_on_with_is_one_run(tracker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        send(patch, "semi", 14, signal.SIGTERM)
        assert run(*RUN, "--track", tracker).code == 130
    made = run(*RUN, "--track", tracker, "--json")
    assert made.code == 0, made.err
    assert f"tracked by {tracker}: " in made.err
    assert differences(Path("runs"), tracker) == []
    (figures,) = READERS[tracker](Path("runs")).values()
    ((_, top1),) = figures["result/top1"]
    assert top1 == pytest.approx(made.json["headline"]["top1"], rel=1e-7)


@pytest.mark.slow
def test_several_at_once_of_a_finished_run() -> None:
    named = [name for name in ("tensorboard", "mlflow", "wandb") if there(name)]
    plain = run(*RUN, "--json")
    for _ in range(2):
        made = run(*RUN, "--track", ",".join(named), "--json")
        assert made.json["headline"] == plain.json["headline"]
        assert not [difference for name in named for difference in differences(Path("runs"), name)]


@pytest.mark.slow
@pytest.mark.skipif(not there("wandb"), reason="wandb is not installed")
def test_wandb_without_a_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import wandb

    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_MODE", "online")
    wandb.teardown()  # what it read of the environment before
    assert_refused(run(*RUN, "--track", "wandb"), "no login; run `wandb login`, or set WANDB_MODE=offline")
    wandb.teardown()
    assert not Path("runs").exists()


@pytest.mark.skipif(not there("trackio"), reason="trackio is not installed")
def test_trackio_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_SPACE_ID", "me/space")
    assert_refused(run("--track", "trackio"), "unset TRACKIO_SPACE_ID", "trackio sync")
