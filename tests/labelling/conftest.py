"""A small network, and the images that the files of the tools speak of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sslkit.backbones.vit_micro import ViTMicro
from tests.cli.conftest import NARROW
from tests.labelling.images import make


@pytest.fixture(scope="package", autouse=True)
def narrow() -> Iterator[None]:
    """A run of vit_micro as it is takes seconds for what no label shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTMicro, "width", NARROW)
        yield


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with the images, `tmp_path/photos`."""
    make(tmp_path / "photos")
    return tmp_path / "photos"
