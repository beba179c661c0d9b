"""`--threads` is stored and no part of the run's name: a run that goes on takes what it began with."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from shutil import copytree

import pytest
import torch

from sslkit.errors import UserError
from sslkit.training.engine import Engine
from tests.reliability.small import assert_equal, small, stages
from tests.reliability.test_interrupt import send


def machine(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(next(root.glob("*/run.json")).read_text("utf-8"))["machine"]
    return found


def stop_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads on a busy machine take minutes for what is not looked at here."""

    def stop(self: Engine) -> None:
        raise UserError("enough")

    monkeypatch.setattr(Engine, "train", stop)


def test_a_run_goes_on_with_its_stored_threads(root, quiet, monkeypatch):
    with monkeypatch.context() as patch:
        send(patch, "semi", 16, signal.SIGINT)
        assert small(root) == 130
    assert small(root, "--threads", "2") == 0
    assert torch.get_num_threads() == 1
    assert machine(root)["threads"] == 1
    assert len(list(root.glob("*/run.json"))) == 1
    assert_equal(root, quiet)


def test_a_finished_run_has_its_name_whatever_the_threads(root, quiet, capsys):
    copytree(quiet, root)
    assert small(root, "--threads", "2") == 0
    assert "is finished" in capsys.readouterr().err
    assert machine(root)["threads"] == 1


def test_other_threads_are_other_stages(root, quiet, monkeypatch):
    """In another store: nobody promises equal sums, so no stage is shared; the run's name stays."""
    stop_before_training(monkeypatch)
    assert small(root, "--threads", "2") == 2
    assert machine(root)["threads"] == 2
    assert torch.get_num_threads() == 2
    assert next(root.glob("*/run.json")).parent.name == next(quiet.glob("*/run.json")).parent.name
    assert not {path.name for path in stages(root).values()} & {path.name for path in stages(quiet).values()}


def test_of_two_that_begin_at_once_the_first_description_stands(root, quiet, monkeypatch):
    """Another process wrote run.json after this one had looked for it: both go on with its threads and stages."""

    def meanwhile(*args: object) -> dict[str, float]:
        run = next(quiet.glob("*/run.json")).parent
        copytree(run, root / run.name, ignore=lambda folder, names: {"results.json"})
        return {}

    monkeypatch.setattr("sslkit.terminal.screen.step_seconds", meanwhile)
    stop_before_training(monkeypatch)
    assert small(root, "--threads", "2") == 2
    assert machine(root)["threads"] == 1
    assert [path.name for path in stages(root).values()] == [path.name for path in stages(quiet).values()]
