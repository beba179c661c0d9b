"""Matched comparisons: arms, runs, statistics and tables. `load` gives the results as a pandas frame."""

from sslkit.harness.frame import load

__all__ = ["load"]
