"""benchmarks/gpu.sh without a GPU: it says so, and its dry mode goes through all parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.docs.page import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHON": sys.executable}
    call = [str(ROOT / "benchmarks/gpu.sh"), *arguments]
    return subprocess.run(call, capture_output=True, text=True, env=env, check=False)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    done = run(str(tmp_path / "out"))
    assert done.returncode == 1
    assert "--dry" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_its_dry_mode_writes_every_part(tmp_path: Path) -> None:
    done = run(str(tmp_path), "--dry")
    assert done.returncode == 0, done.stderr
    rows = {name: json.loads((tmp_path / f"{name}.json").read_text())["rows"] for name in ("views", "steps", "tests")}
    assert rows["tests"][0]["returned"] == 0, rows["tests"]
    assert all(row["images_a_second"] > 0 for row in rows["views"] + rows["steps"])
    (step,) = json.loads((tmp_path / "fixmatch.json").read_text())["rows"]
    assert step["full_schedule_minutes"] > 0
