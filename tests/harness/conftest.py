"""Comparisons of a network as small as a vision transformer comes, and one that tests have in common."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from sslkit.backbones._timm import Width
from sslkit.backbones.vit_micro import ViTMicro
from tests.cli.call import Call


@pytest.fixture(scope="package", autouse=True)
def narrow() -> Iterator[None]:
    """What is compared here is a network of one narrow block, and no step is timed before: both take longer than all
    that is tested. Processes that a test starts have the network in the box."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTMicro, "width", Width(dim=16, depth=1, heads=2))
        patch.setattr("sslkit.terminal.screen.step_seconds", lambda *_: {})
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], tuple[Path, Call]]:
    """The comparison of fixmatch on so many seeds, trained once."""
    from tests.harness.work.test_compare import compare

    @cache
    def train(seeds: int) -> tuple[Path, Call]:
        folder = tmp_path_factory.mktemp("fixmatch")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            made = compare("--algo", "fixmatch", "--seeds", seeds)
        assert made.code == 0, made.err
        return folder / "runs", made

    return train


@pytest.fixture
def fixmatch(trained: Callable[[int], tuple[Path, Call]]) -> Callable[[int], Call]:
    """Puts that comparison into runs/, as `compare("--algo", "fixmatch", "--seeds", seeds)` would, and says what it
    said. What is changed there is a copy."""

    def put(seeds: int) -> Call:
        runs, made = trained(seeds)
        shutil.copytree(runs, "runs")
        return made

    return put
