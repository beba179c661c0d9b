"""A small network: what is tested here is how it is trained."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sslkit.backbones._timm import Width
from sslkit.backbones.vit_micro import ViTMicro

NARROW = Width(dim=32, depth=2, heads=2)


@pytest.fixture(scope="package", autouse=True)
def narrow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTMicro, "width", NARROW)
        yield
