"""kill -9, two an algorithm; for the record: python tests/reliability/kill.py --kills 20."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability.kill import ALGORITHMS, POINTS, deal


@pytest.mark.slow
def test_runs_killed_and_started_again_end_equal_to_the_bit():
    script = Path(__file__).with_name("kill.py")
    line = [sys.executable, str(script), "--kills", str(2 * len(ALGORITHMS)), "--warm"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=900, check=False)
    print(done.stdout)  # with the seed, shown when the test fails
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal to the bit") >= len(ALGORITHMS)


def test_every_algorithm_and_every_point_get_their_kills():
    dealt = deal(20, seed=1)
    assert all(len(moments) == 4 for moments in dealt.values())
    assert {moment.point for moments in dealt.values() for moment in moments} == set(POINTS)
    assert deal(20, seed=1) == dealt != deal(20, seed=2)
