"""Comparisons that are killed, stopped by a scheduler, or two at once: the table is that of one left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sslkit import registry
from sslkit.harness import load
from tests.harness.work.test_compare import SMALL, TINY, compare, elsewhere  # noqa: F401

pytestmark = pytest.mark.slow

FOUR = [*TINY, "--seeds", "4", "--algo", "fixmatch,flexmatch"]


def process(*arguments: object, steps: int = 40) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sslkit", "compare", *SMALL, *FOUR, *map(str, arguments)]
    command += ["--set", f"semi.steps={steps}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of one process that was left alone."""
    runs = tmp_path_factory.mktemp("whole") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "plugins", {})
        made = compare(*FOUR, "--set", "semi.steps=40", "--runs", runs)
    assert made.code == 0, made.err
    return runs


def csv(runs: str | Path) -> str:
    """The table without its time and memory."""
    frame = load(next(Path(runs).glob("compare-*"))).drop(columns=["seconds", "memory"])
    return str(frame.to_csv(index=False))


def finished(runs: str | Path) -> dict[str, int]:
    """When each result was written."""
    return {file.parent.name: file.stat().st_mtime_ns for file in Path(runs, "stages").glob("*/result.json")}


def test_three_kills_change_nothing(whole: Path) -> None:
    for more in (3, 6, 9):
        running = process("--runs", "killed", "--jobs", 2)
        deadline = time.monotonic() + 240
        while len(finished("killed")) < more and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running.poll() is None, "killed in the middle"
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    before = finished("killed")
    assert 9 <= len(before) < 16
    assert process("--runs", "killed", "--jobs", 2).wait() == 0
    assert csv("killed") == csv(whole)
    assert before.items() <= finished("killed").items(), "no finished stage was trained again"


def test_a_scheduler_stops_the_workers_too() -> None:
    """Its SIGTERM reaches the first process only."""
    running = process("--runs", "stopped", "--jobs", 2, steps=100_000)
    deadline, logs = time.monotonic() + 240, [Path()]
    while len(logs) < 2 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
        logs = [log for log in Path("stopped/stages").glob(".*/metrics.jsonl") if log.read_text().count("\n") > 2]
    running.terminate()
    assert running.wait(timeout=120) == 130
    assert all(list(log.parent.glob("checkpoint-*")) for log in logs)


def test_two_comparisons_at_once_share_the_work(whole: Path) -> None:
    both = [process("--runs", "shared", "--name", name) for name in ("compare", "other")]
    assert [running.wait() for running in both] == [0, 0]
    assert csv("shared") == csv(whole)
    assert finished("shared").keys() == finished(whole).keys()
    versions = [file.read_text() for file in Path("shared").glob("*/comparison.json")]
    assert len(versions) == 2
    assert all('"error": "not run yet"' not in text for text in versions)
