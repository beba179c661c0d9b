"""Two comparisons on one store, killed with their workers; `kill_compare.py` does so at length."""

import subprocess
import sys

import pytest

from tests.reliability.kill_compare import ROOT


@pytest.mark.slow
def test_comparisons_that_are_killed_train_each_stage_once_and_equal_to_the_bit() -> None:
    line = [sys.executable, "-m", "tests.reliability.kill_compare", "--kills", "8", "--seeds", "1", "--seed", "5"]
    ended = subprocess.run([*line, "--warm"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "8 kills" in ended.stdout
    assert "in training" in ended.stdout
