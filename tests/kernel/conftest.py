"""A registry as it is in a fresh process, for every test."""

from __future__ import annotations

import pytest

from sslkit import registry


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_plugins", {})
