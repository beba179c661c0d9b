"""A registry as it is in a fresh process where nothing foreign is installed, for every test."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import sklearn.datasets

from sslkit import registry

# Two workers share two cores: a run that takes a thread for each core waits for the other worker at every product.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
os.cpu_count = lambda: 1

# Of the 0.1 s in which a request is resolved, half was this text file. Readers make copies of its arrays.
sklearn.datasets.load_digits = cache(sklearn.datasets.load_digits)

real = importlib.metadata.entry_points


def without_parts(**asked: Any) -> Any:
    return [] if str(asked.get("group")).startswith("sslkit.") else real(**asked)


@pytest.fixture(autouse=True)
def nothing_foreign(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "plugins", {})
    monkeypatch.setattr(importlib.metadata, "entry_points", without_parts)
    registry.installed.cache_clear()
    yield
    registry.installed.cache_clear()
