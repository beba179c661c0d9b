"""The head of a file, row by row: a class has the row of its name, wherever that stands in the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from sslkit.errors import listed

# what stands beside a file of ours, and where in it the classes are
BESIDE = {"weights.safetensors": ("spec.json", "data", "classes"), "model.safetensors": ("config.json", "label_names")}


def classes_of(path: Path) -> list[str]:
    """The classes of a file's head, in its order; none where nothing beside it tells.

    A stage of a run has them in spec.json, a folder that `sslkit export` wrote in config.json.
    """
    name, *keys = BESIDE.get(path.name, ("",))
    with suppress(OSError, ValueError, KeyError, TypeError):
        value = json.loads((path.parent / name).read_text("utf-8"))
        for key in keys:
            value = value[key]
        return [str(name) for name in value] if name else []
    return []


def by_name(tensor: Tensor, like: Tensor, theirs: Sequence[str], ours: Sequence[str]) -> Tensor:
    """`like` (C, ...) with the rows of `tensor` (C', ...) for the classes that both have."""
    made, place = like.clone(), {name: i for i, name in enumerate(theirs)}
    for i, name in enumerate(ours):
        if name in place:
            made[i] = tensor[place[name]].to(made.dtype)
    return made


def sentence(theirs: Sequence[str], ours: Sequence[str]) -> str:
    """What is said of a head whose classes are others, or stand in another order."""
    new = [name for name in ours if name not in theirs]
    if len(new) == len(ours):
        return f"none of the {len(ours)} classes is among the file's {len(theirs)}: the head starts anew"
    anew = f"; {listed([*map(repr, new)])} {'start' if len(new) > 1 else 'starts'} anew" if new else ""
    return f"the head's rows go by class name: {len(ours) - len(new)} of {len(ours)} are in the file{anew}"
