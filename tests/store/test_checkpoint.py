"""A checkpoint is the old one or the new one, never a torso."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit.errors import UserError
from sslkit.store import checkpoint, files

OLD, NEW = {"w": torch.ones(3)}, {"w": torch.zeros(3)}


def test_round_trip_of_types_shapes_and_description(tmp_path: Path) -> None:
    tensors = {
        "f": torch.randn(2, 3),
        "i": torch.tensor(7),
        "b": torch.tensor([True, False]),
        "t": torch.randn(3, 4).t(),
        "h": torch.randn(2).bfloat16(),
        "e": torch.empty(0, 3),
        "c": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    about = {"step": 3, "best": {"val": 0.5}, "name": "[/red] ü"}
    checkpoint.save(tmp_path / "x.safetensors", tensors, about)
    found, described = checkpoint.load(tmp_path / "x.safetensors")
    assert described == about
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("broken", ["save_file", "replace", "fsync"])
def test_failing_write_leaves_the_old_file(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, OLD, {"step": 1})

    def torso(tensors: Any, file: Any, **_: Any) -> None:
        Path(file).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    if broken == "save_file":
        monkeypatch.setattr(checkpoint, "save_file", torso)
    else:
        monkeypatch.setattr(os, broken, full)
    with pytest.raises(UserError, match="No space left"):
        checkpoint.save(path, NEW, {"step": 2})
    monkeypatch.undo()
    found, about = checkpoint.load(path)
    assert about == {"step": 1}
    assert torch.equal(found["w"], OLD["w"])
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    files.write_text(path, "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("size", [0, 4, 50, -1])
def test_damaged_files_are_named(size: int, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"w": torch.ones(1000)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(checkpoint.DamagedError, match=r"x\.safetensors"):
        checkpoint.load(path)


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(checkpoint.DamagedError, match="missing or damaged"):
        checkpoint.load(tmp_path / "gone.safetensors")
    from safetensors.torch import save_file

    save_file(OLD, tmp_path / "foreign.safetensors")
    with pytest.raises(checkpoint.DamagedError, match="foreign"):
        checkpoint.load(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o755, 0o644), (0o775, 0o664)])
def test_who_may_read_the_folder_may_read_the_file(folder: int, file: int, tmp_path: Path) -> None:
    tmp_path.chmod(folder)
    checkpoint.save(tmp_path / "a.safetensors", {"w": torch.ones(2)}, {})
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == file
