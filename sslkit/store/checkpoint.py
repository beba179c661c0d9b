"""Checkpoints: one safetensors file with a JSON description inside, replaced atomically. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sslkit.errors import UserError, one_line
from sslkit.store.files import replacing


class DamagedError(UserError):
    """A checkpoint that cannot be read."""


def save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a checkpoint, so that `path` is always a whole one: the old or the new.

    Raises:
        UserError: it cannot be written (a full disk, say); what was there before is untouched.
    """
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    try:
        with replacing(path) as temporary:
            save_file(contiguous, temporary, metadata={"sslkit": json.dumps(about)})
            # safetensors leaves a file to its owner (safetensors/safetensors#782); who may read the folder may read it
            with suppress(OSError):
                temporary.chmod(path.parent.stat().st_mode & 0o666)
    except SafetensorError as error:
        raise UserError(f"cannot write {path}: {one_line(error)}") from None


def load(path: Path, device: torch.device | str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of a checkpoint.

    Raises:
        DamagedError: not a whole checkpoint.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            about = json.loads((file.metadata() or {})["sslkit"])
            # an open file is no mapping, and cannot be walked: vllm-project/vllm#1732
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DamagedError(f"checkpoint {path} is missing or damaged ({one_line(error)})") from None


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
