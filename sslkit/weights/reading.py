"""What a file of weights holds: tensors by name, without running code of it."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from sslkit.errors import UserError, one_line, unknown

PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".tar")
CONTAINERS = (  # in this order
    "state_dict", "model_state_dict", "model", "teacher", "averaged", "student", "model_ema", "net", "network",
    "model_state", "state_dict_ema", "ema_state_dict", "ema",
)  # fmt: skip
DEEPEST = 5  # containers in each other
Selected = tuple[dict[str, Tensor], list[str], list[str]]


def read(path: Path) -> Any:
    """What the file holds, without running code of it."""
    known = (".safetensors", *PICKLED)
    if path.suffix.lower() == ".zip":
        raise UserError(f"{path} is an archive; unpack it, and name the run or the file of weights that is in it")
    if path.suffix.lower() not in known:
        raise UserError(f"{path} is no file of weights that can be read: {', '.join(known)}")
    if not path.is_file():
        raise UserError(f"no file {str(path)!r}")
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises is anything
        named = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if named:
            raise UserError(
                f"{path} holds an object of Python, {shown(named[1])}, which may run code and is not read; "
                "save the network's state_dict alone"
            ) from None
        raise UserError(f"{path} is damaged, or no file of weights ({shown(one_line(error))})") from None


def select(content: Any, which: str | None, roots: set[str], path: Path) -> Selected:
    """Tensors of one container, names of those beside it, and remarks."""
    content = content if isinstance(content, Mapping) else {}
    seen: list[str] = []
    beside: list[str] = []
    remarks: list[str] = []
    names = CONTAINERS if which is None or which in CONTAINERS else (which, *CONTAINERS)
    for groups in (_nested, _prefixed):
        found = groups(content, names, roots)
        if found:
            name = which if which in found else next(iter(found))
            if len(found) > 1:
                remarks.append(f"{name!r} is taken of {', '.join(found)}")
            whole = tuple(f"{container}." for container in found)
            beside += [n for n in _plain(content) if not n.startswith(whole)]
            content = found[name]
            seen += found
    if which is not None and which not in seen:
        raise unknown("set of weights", which, seen) if seen else UserError(f"{path} holds one set of weights, unnamed")
    tensors = _plain(content)
    if not tensors:
        has = [shown(str(name)) for name, value in content.items() if isinstance(value, Mapping) and _plain(value)]
        other = f"; it has {', '.join(has)}: --weights-container {has[0]} takes that" if has else ""
        raise UserError(f"{path} holds no weights; known containers are {', '.join(CONTAINERS)}{other}")
    return tensors, beside, remarks


def _nested(content: Mapping[Any, Any], names: Sequence[str], roots: set[str]) -> dict[str, Mapping[Any, Any]]:
    return {c: content[c] for c in names if isinstance(content.get(c), Mapping)}


def _prefixed(content: Mapping[Any, Any], names: Sequence[str], roots: set[str]) -> dict[str, Mapping[Any, Any]]:
    """Containers in flat names, as in `teacher.backbone.norm.weight`, unless they are names of the network's own."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _plain(content).items():
        container, _, rest = name.partition(".")
        if container in names and rest:
            found.setdefault(container, {})[rest] = tensor
    return {c: found[c] for c in names if c in found} if not found.keys() <= roots else {}


def _plain(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The named, dense tensors with all their values."""

    def whole(value: Any) -> bool:
        dense = isinstance(value, Tensor) and value.layout is torch.strided
        return dense and not (value.is_meta or value.is_quantized) and value.untyped_storage().nbytes() >= value.nbytes

    return {name: value for name, value in content.items() if isinstance(name, str) and whole(value)}


def located(content: Any, known: Callable[[str], bool]) -> dict[str, dict[str, Tensor]]:
    """The sets of weights of a network, by what stands before its names: containers in containers, and prefixes.

    Args:
        known: whether the rest of a name is the network's.

    Returns:
        for each beginning, such as `checkpoint.module.encoder_q`, its tensors by the rest of their names.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _flat(content).items():
        parts = name.split(".")
        rest = next((k for k in range(len(parts)) if known(".".join(parts[k:]))), None)
        if rest is not None:
            found.setdefault(".".join(parts[:rest]), {})[".".join(parts[rest:])] = tensor
    return found


def _flat(content: Any, before: str = "", depth: int = 0) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or depth > DEEPEST:
        return {}
    inner = [(name, value) for name, value in content.items() if isinstance(name, str) and isinstance(value, Mapping)]
    found = {before + name: tensor for name, tensor in _plain(content).items()}
    for name, value in inner:
        found |= _flat(value, f"{before}{name}.", depth + 1)
    return found


def shown(name: str) -> str:
    """A foreign name on one line of bounded length."""
    clean = "".join(c if c.isprintable() else "?" for c in name)
    return clean if len(clean) <= 100 else clean[:99] + "…"
