"""Frozen weights of stages with an adapter: once in a store, `frozen/HASH.safetensors`, named by their content.

A stage's own files hold what changes, and the name of the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.store import Store, checkpoint, read_json, write_json

FOLDER, NAMED = "frozen", "frozen.json"  # of a store; in a stage's folder, what it needs of that
NETWORKS = ("student.", "averaged.")  # which all have the same frozen weights


def keep(stage: Path, tensors: Mapping[str, Tensor]) -> str:
    """Store what a stage, of which `stage` is the folder, does not change; its name.

    Raises:
        UserError: it cannot be written.
    """
    name = content(tensors)
    file = base_file(stage, name)
    with Store(_store(stage)).alone():  # what is removed meanwhile would be what no stage had named yet
        write_json(stage / NAMED, {"frozen": name})
        if not file.is_file():
            file.parent.mkdir(exist_ok=True)
            checkpoint.save(file, tensors, {})
    return name


def load(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of what a stage stored, with the frozen weights of its networks.

    Raises:
        DamagedError: it is not a whole checkpoint.
        UserError: the frozen weights are missing, or damaged.
    """
    tensors, about = checkpoint.load(file)
    name = about.get("frozen", "")
    if not name:
        return tensors, about
    base = base_file(file.parent, name)
    try:
        frozen, _ = checkpoint.load(base)
    except checkpoint.DamagedError:
        frozen = {}
    if content(frozen) != name:
        state = "are damaged: remove that file" if base.is_file() else "are not there"
        raise UserError(
            f"the frozen weights of {file}, {base}, {state}; bring them back, or train anew: a finished run by "
            f"--again, another one after removing {file.parent}"
        )
    return tensors | {prefix + n: tensor for prefix in NETWORKS for n, tensor in frozen.items()}, about


def base_of(stage: Path) -> str:
    """Name of the frozen weights that a stage's folder needs, or ""."""
    return str(read_json(stage / NAMED)["frozen"]) if (stage / NAMED).is_file() else ""


def base_file(stage: Path, name: str) -> Path:
    """The file of frozen weights, for a stage's folder."""
    return _store(stage) / FOLDER / f"{name}.safetensors"


def content(tensors: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits, of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _store(stage: Path) -> Path:
    return stage.parent.parent
