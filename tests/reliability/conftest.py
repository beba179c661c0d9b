"""What the reliability tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sslkit.backbones.vit_micro import ViTMicro
from tests.reliability.small import SHIPPED, WIDTH, small


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    """A small network; and none of the three timed steps before training, which cost as much as these runs and leave
    nothing behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTMicro, "width", WIDTH)
        patch.setattr("sslkit.terminal.screen.step_seconds", lambda *_: {})
        yield


@pytest.fixture(scope="module")
def shipped() -> Iterator[None]:
    """The network in the box, for what is compared with that of processes which have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTMicro, "width", SHIPPED)
        yield


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the small run, left alone."""
    root = tmp_path_factory.mktemp("quiet")
    assert small(root) == 0
    return root


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of the run under test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"
