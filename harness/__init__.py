"""Matched comparisons: arms, runs, statistics and tables. `load` gives the results as a pandas frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslkit.harness.numbers.frame import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name == "load":  # pandas and torch are imported when they are needed: `sslkit --help` lists these commands
        from sslkit.harness.numbers.frame import load

        return load
    raise AttributeError(f"module 'sslkit.harness' has no attribute {name!r}")
