"""A small network, a folder for every test, and one tiny run that all share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sslkit.backbones._timm import Width
from sslkit.backbones.vit_micro import ViTMicro
from sslkit.terminal import screen
from tests.cli.call import Call, folder_of, run
from tests.datasets.make import pictures

CLASSES = ["cat", "dog", "emu"]
NARROW = Width(dim=32, depth=2, heads=2)


@pytest.fixture(scope="package", autouse=True)
def narrow() -> Iterator[None]:
    """A run of vit_micro as it is takes seconds for what no command shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTMicro, "width", NARROW)
        yield


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test stands in a folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step is timed before training, which is half of the work of a run this small; the shared run has it."""
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})


@dataclass(frozen=True)
class Finished:
    """A tiny finished run with its control arm, trained once for all tests. They do not change it."""

    arguments: tuple[str, ...]
    runs: Path
    folder: Path
    call: Call


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    runs = tmp_path_factory.mktemp("finished") / "runs"
    arguments = ("--control", "--runs", str(runs), "--json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTMicro, "width", NARROW)  # whichever room asks first
        call = run(*arguments)
    assert call.code == 0, call.err
    return Finished(arguments, runs, folder_of(call, runs), call)


@pytest.fixture
def photos() -> list[str]:
    """Paths of images in folders that are called as the classes."""
    names = [f"d/{name}/{i}.png" for name in CLASSES for i in range(2)]
    pictures(Path(), names)
    return names
