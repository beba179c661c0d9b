"""Checkpoints: one safetensors file with a JSON description inside, replaced atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sslkit.errors import UserError, one_line


class DamagedError(UserError):
    """A checkpoint that cannot be read."""


def save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a checkpoint, so that `path` is always a whole one: the old or the new.

    Raises:
        UserError: it cannot be written (a full disk, say); what was there before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={"sslkit": json.dumps(about)})
        with suppress(OSError):  # safetensors leaves a file to its owner; who may read the folder may read it
            temporary.chmod(path.parent.stat().st_mode & 0o666)
        replace(temporary, path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {one_line(error)}") from None


def load(path: Path, device: torch.device | str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of a checkpoint.

    Raises:
        DamagedError: not a whole checkpoint.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            about = json.loads((file.metadata() or {})["sslkit"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DamagedError(f"checkpoint {path} is missing or damaged ({one_line(error)})") from None


def new_file(path: Path) -> None:
    """Say that a file cannot be made before the work for it is done.

    Raises:
        UserError: it is there, or its folder is not or cannot be written to.
    """
    if path.exists():
        raise UserError(f"{path} exists and is not overwritten; choose another --out")
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"--out {path}: nothing can be written to the folder {path.parent}")


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def write_text(path: Path, text: str) -> None:
    """Write a small file atomically.

    Raises:
        UserError: it cannot be written; what was there before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {one_line(error)}") from None


def replace(temporary: Path, path: Path) -> None:
    """Put a finished file in its place, and on the disk."""
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
