"""What is freed stays with a process that trains, and goes back after it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from sslkit.machine.allocator import OWN, keeping

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")
SCENE = """
import torch
from pathlib import Path
from sslkit.machine.allocator import keeping

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

before = resident()
for device in ("cuda", "cpu"):
    with keeping(device):
        torch.ones(50_000_000)
        print(resident() - before > 150)
print(resident() - before > 50)
"""


def kept(**environment: str) -> list[str]:
    """Whether a new process keeps 200 MB: within, for a GPU and a CPU, and after it."""
    own = {name: value for name, value in os.environ.items() if name not in OWN} | environment
    done = subprocess.run([sys.executable, "-c", SCENE], env=own, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not GLIBC, reason="not glibc")
def test_freed_memory_is_kept_within_and_goes_back_after() -> None:
    assert kept() == ["False", "True", "False"]
    assert kept(MALLOC_TRIM_THRESHOLD_="131072") == ["False", "False", "False"]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with keeping("cpu"):
        torch.ones(10)
