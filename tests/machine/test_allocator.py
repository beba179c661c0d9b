"""What is freed stays with a process that trains, and goes back after it."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from sslkit.machine.allocator import OWN, keeping

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


def resident() -> float:
    """MB of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096 / 1e6


def used_and_freed(mb: int) -> float:
    """MB by which the process is larger after so many were filled and freed."""
    before = resident()
    torch.ones(mb * 250_000)
    return resident() - before


@pytest.mark.skipif(not GLIBC, reason="not glibc")
def test_freed_memory_is_kept_within_and_goes_back_after(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    before = resident()
    assert used_and_freed(200) < 50
    with keeping("cpu"):
        assert used_and_freed(200) > 150
        assert sum(used_and_freed(200) for _ in range(5)) < 450  # the same memory, though it may have been begun on
    assert resident() - before < 50
    assert used_and_freed(200) < 50


@pytest.mark.skipif(not GLIBC, reason="not glibc")
def test_a_gpu_and_a_user_who_chose_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with keeping("cuda"):
        assert used_and_freed(200) < 50
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    with keeping("cpu"):
        assert used_and_freed(200) < 50


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with keeping("cpu"):
        torch.ones(10)


def test_it_is_put_back_where_training_fails() -> None:
    def fail() -> None:
        with keeping("cpu"):
            raise RuntimeError("as a step may")

    with pytest.raises(RuntimeError):
        fail()
    assert used_and_freed(200) < 50
