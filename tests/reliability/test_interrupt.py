"""Ctrl-C and SIGTERM: saved, said how to go on, exit code 130, and the same command ends equal to the bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sslkit import cli
from sslkit.cli import options
from sslkit.training.engine import Engine
from tests.reliability.small import assert_equal, checkpoints, small


def send(monkeypatch: pytest.MonkeyPatch, stage: str, step: int, *signals: int, method: str = "step") -> None:
    """Let this process get the signals at a step of a stage, once."""
    original, left = getattr(Engine, method), list(signals)

    def interrupted(self: Engine, *args: object, **named: object) -> object:
        found = original(self, *args, **named)
        if self.spec.stage == stage and (method != "step" or args[0] == step):
            while left:
                os.kill(os.getpid(), left.pop())
        return found

    monkeypatch.setattr(Engine, method, interrupted)


@pytest.mark.parametrize(
    ("number", "stage", "step"),
    [(signal.SIGINT, "semi", 10), (signal.SIGTERM, "semi", 16), (signal.SIGTERM, "finetune", 0)],
)
def test_a_signal_saves_and_the_same_command_goes_on(number, stage, step, root, quiet, monkeypatch, capsys):
    before = signal.getsignal(number)
    send(monkeypatch, stage, step, number)
    assert small(root) == 130
    said = capsys.readouterr().err
    assert f"stopped after step {step + 1} of" in said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert checkpoints(root, stage)[-1].name == f"checkpoint-{step + 1:09d}.safetensors"
    assert signal.getsignal(number) is before
    assert small(root) == 0
    assert f"{stage} goes on from step {step + 1}" in capsys.readouterr().err
    assert_equal(root, quiet)


def test_the_second_ctrl_c_ends_at_once(root, quiet, monkeypatch, capsys):
    send(monkeypatch, "semi", 16, signal.SIGINT, signal.SIGINT)
    assert small(root) == 130
    said = capsys.readouterr().err
    assert "the same command goes on from the last checkpoint" in said
    assert "Traceback" not in said
    assert checkpoints(root, "semi")[-1].name == "checkpoint-000000010.safetensors"
    assert small(root) == 0
    assert_equal(root, quiet)


@pytest.mark.parametrize("method", ["step", "_finish"])
def test_a_signal_too_late_for_its_stage_is_not_forgotten(method, root, quiet, monkeypatch, capsys):
    """In the last step, or in the evaluation after it: the stage may end, the next one may not begin."""
    send(monkeypatch, "finetune", 3, signal.SIGINT, method=method)
    assert small(root) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not checkpoints(root, "semi")
    assert small(root) == 0
    assert_equal(root, quiet)


@pytest.mark.parametrize("point", ["pipeline.prepare", "training.work.build"])
def test_ctrl_c_before_training(point, root, monkeypatch, capsys):
    def interrupted(*args: object, **keys: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"sslkit.{point}", interrupted)
    assert small(root) == 130
    said = capsys.readouterr().err
    assert "the same command goes on" in said
    assert "Traceback" not in said


def test_a_run_keeps_no_signal_handler_of_its_own(root: Path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert small(root) == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_sigterm_before_training_ends_as_ctrl_c_does(monkeypatch, capsys):
    """A scheduler's stop while data is read: one line and 130, not a silent death."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(options, "load_plugin", lambda file: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr("sys.argv", ["sslkit", "list", "--plugin", "any.py"])
    try:
        with pytest.raises(SystemExit) as ended:
            cli.entry_point()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip().startswith("interrupted; the same command goes on")


def test_what_a_killed_write_left_is_cleared_away(root, quiet, monkeypatch):
    """Our own temporary files, and those of safetensors, which a SIGKILL inside its write leaves."""
    send(monkeypatch, "semi", 16, signal.SIGINT)
    assert small(root) == 130
    folder = checkpoints(root, "semi")[-1].parent
    for name in (".tmp8Bvytr", ".weights.safetensors.123.tmp"):
        (folder / name).write_bytes(b"half")
    assert small(root) == 0
    assert_equal(root, quiet)
