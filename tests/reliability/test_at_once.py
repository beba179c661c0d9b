"""A command started twice at once or again after it ended, runs that share a stage: nothing mixed or overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest

from sslkit.store.claims import Claim
from sslkit.training.engine import Engine
from sslkit.training.log import Log
from tests.reliability.small import SMALL, assert_equal, leftovers, small, stages


def start(root: Path, *more: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "tests.reliability.small", *SMALL, "--json", "--runs", str(root), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*processes: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What they print, when all have ended well."""
    said = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return [json.loads(out) for out, _ in said]


def networks(results: dict[str, Any]) -> list[object]:
    return [row["networks"] for row in results["stages"]]


@pytest.mark.slow
def test_the_same_command_twice_at_once(root, quiet):
    said = finish(start(root), start(root))
    assert_equal(root, quiet)
    expected = json.loads(next(quiet.glob("*/results.json")).read_text("utf-8"))
    assert networks(said[0]) == networks(said[1]) == networks(expected)
    assert len(list(root.glob("*/results.json"))) == 1
    told = said[:1] if said[0] == said[1] else said  # one that starts when all is finished shows what the other wrote
    assert sum(row["new"] for results in told for row in results["stages"]) == 2  # each stage by one of them


@pytest.mark.slow
def test_two_runs_that_share_a_stage_at_once(root, quiet):
    other = ("--algo", "fixmatch", "--set", "labeler.tau=0.3")
    finish(start(root), start(root, *other))
    runs = [json.loads(path.read_text("utf-8"))["stages"] for path in root.glob("*/run.json")]
    assert len(runs) == 2
    assert runs[0]["finetune"] == runs[1]["finetune"]
    assert runs[0]["semi"] != runs[1]["semi"]
    assert len(list(root.glob("stages/[!.]*"))) == 3
    assert not leftovers(root)
    for label, folder in stages(quiet).items():
        for name in ("weights.safetensors", "predictions.safetensors"):
            assert (root / "stages" / folder.name / name).read_bytes() == (folder / name).read_bytes(), label


def test_a_stage_that_another_process_holds_is_waited_for(root, quiet, monkeypatch, capsys):
    """The other one publishes while this one waits: it is taken as it is, and nothing is trained."""
    take, asked = Claim.take, list[Path]()

    def busy(self: Claim) -> bool:
        asked.append(self.folder)
        if self.folder.name == "store" or asked.count(self.folder) > 1:
            return take(self)
        for folder in stages(quiet).values():
            copytree(folder, root / "stages" / folder.name, dirs_exist_ok=True)
        return False

    monkeypatch.setattr(Claim, "take", busy)
    monkeypatch.setattr(Engine, "step", lambda *args: pytest.fail("trained a stage that is there"))
    assert small(root) == 0
    assert "another process trains finetune" in capsys.readouterr().err
    monkeypatch.undo()
    assert_equal(root, quiet)


def test_a_stage_that_was_taken_over_while_this_process_stood_still_is_the_others(root, quiet, monkeypatch, capsys):
    """What was trained is left out, in a sentence; the other one's stage is used."""
    real, trained = Engine.step, list[tuple[str, int]]()

    def step(self: Engine, index: int, log: Log) -> None:
        trained.append((self.spec.stage, index))
        if trained[-1] == ("semi", 12):
            key = self.folder.name[1:]
            rmtree(root / ".claims" / key)
            copytree(quiet / "stages" / key, self.folder.with_name(key))
            rmtree(self.folder)
        real(self, index, log)

    monkeypatch.setattr(Engine, "step", step)
    assert small(root) == 0
    monkeypatch.undo()
    assert trained[-1] == ("semi", 19), "the next line of the log is not written"
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("semi: this process stood still for 120 seconds or more") == 1
    assert [row["new"] for row in json.loads(next(root.glob("*/results.json")).read_text("utf-8"))["stages"]] == [
        True,
        False,
    ]
    assert_equal(root, quiet)
    assert not list((root / ".claims").iterdir())


def test_again_after_it_ended_nothing_is_written(root, quiet, monkeypatch, capsys):
    copytree(quiet, root)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in root.rglob("*") if path.is_file()}
    monkeypatch.setattr(Engine, "step", lambda *args: pytest.fail("trained"))
    assert small(root) == 0
    assert "is finished" in capsys.readouterr().err
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in root.rglob("*") if p.is_file()}
