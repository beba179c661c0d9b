"""A small network, and a folder for every test."""

from __future__ import annotations

from tests.cli.conftest import elsewhere, narrow

__all__ = ["elsewhere", "narrow"]
