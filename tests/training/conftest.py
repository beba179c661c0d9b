"""A small network: what is tested here is how it is trained."""

from tests.cli.conftest import NARROW, narrow

__all__ = ["NARROW", "narrow"]
