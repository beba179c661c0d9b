"""A script that compares in several processes and has no main guard ends with a sentence; one that is no file works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from sslkit.cli import main
keys = ["finetune.steps=1", "semi.steps=1", "precision=fp32", "device=cpu", "threads=1"]
words = ["compare", "--algo", "fixmatch,flexmatch", "--backbone", "vit_micro", "--seeds", "1", "--jobs", "2"]
sys.exit(main([*words, *[word for key in keys for word in ("--set", key)]]))
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    assert "this beneath `if __name__ == '__main__':`" in done.stderr


@pytest.mark.slow
def test_a_script_that_is_no_file(tmp_path: Path) -> None:
    """As `python - < script.py` has it, which no process could import."""
    done = subprocess.run(
        [sys.executable, "-"], input=SCRIPT, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "fixmatch" in done.stdout
