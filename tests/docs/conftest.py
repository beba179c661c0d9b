"""What the tests of the documents share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sslkit import registry


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, no plug-in known, and the number of threads as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "plugins", {})
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)
