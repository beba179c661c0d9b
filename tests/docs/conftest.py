"""What the tests of the documents share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sslkit import registry
from sslkit.backbones._timm import Width
from sslkit.backbones.vit_base import ViTBase
from sslkit.backbones.vit_micro import ViTMicro


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, no plug-in known, networks of few blocks, and the number of threads as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ViTMicro, "width", Width(dim=32, depth=2, heads=2))
    monkeypatch.setattr(ViTBase, "width", Width(dim=768, depth=2, heads=12))
    monkeypatch.setattr(registry, "plugins", {})
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)
