"""A cache of the hub, as its client lays it down, and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file


def empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, which is empty; who asks the hub itself gets no answer."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(folder / "hub"), raising=False)
    return folder / "hub"


def keep(hub: Path, name: str, model: torch.nn.Module) -> Path:
    """The model's weights under timm's name, laid down as the hub's client does."""
    repository = hub / f"models--timm--{name}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abc")
    file = repository / "snapshots" / "0123abc" / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file(model.state_dict(), file)
    return file
