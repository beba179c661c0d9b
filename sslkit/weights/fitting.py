"""Tensors in the shapes of a network for images of another size: position embeddings and patch projections."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sslkit.network import Classifier

Grid = tuple[int, int]  # patches down and across


@dataclass(frozen=True)
class Places:
    """What is known of the rows of two position embeddings: those of patches, and those before them."""

    grid: Grid | None  # of the network; None where it does not tell
    rows: int  # of the network, of class or register tokens: with registers timm's DINOv2 has none
    tokens: int  # class and register tokens in the file, each of which may have a row
    theirs: Grid | None  # of the file, where something beside it tells


def places_of(network: Classifier, tensors: Mapping[str, Tensor], path: Path) -> Places:
    """Of a network, and of a file's tensors by the network's names."""
    inner = getattr(network, "model", None)
    places, patches = getattr(inner, "pos_embed", None), getattr(inner, "patch_embed", None)
    known = isinstance(places, Tensor) and places.ndim == 3 and getattr(patches, "num_patches", None)
    grid = tuple(patches.grid_size) if known and patches is not None else None
    rows = places.shape[1] - math.prod(grid) if grid and isinstance(places, Tensor) else 0
    tokens = sum(t.shape[1] for n, t in tensors.items() if n.endswith(("cls_token", "reg_token")) and t.ndim == 3)
    patch = next((tuple(t.shape[2:]) for n, t in tensors.items() if n.endswith("patch_embed.proj.weight")), ())
    return Places(grid, rows, tokens, _told(path, patch))


def _told(path: Path, patch: tuple[int, ...]) -> Grid | None:
    """The grid by the size that `config.json` names beside model.safetensors, as timm and the hub have it."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):  # nothing, or no such file of timm's
        about = json.loads((path.parent / "config.json").read_text("utf-8")) if path.name == "model.safetensors" else {}
        size = (about.get("model_args") or {}).get("img_size") or about["pretrained_cfg"]["input_size"][-2:]
        height, width = (size, size) if isinstance(size, int) else size
        return height // patch[0], width // patch[1]
    return None


def reshaped(name: str, tensor: Tensor, like: Tensor, places: Places | None) -> Tensor | None:
    """The tensor in the shape of `like`; None where it is of another kind."""
    from timm.layers import resample_patch_embed  # slow to import

    if name.endswith("pos_embed") and tensor.ndim == like.ndim == 3 and places is not None and places.grid is not None:
        return _positions(tensor, like, places)
    if tensor.shape == like.shape:
        return tensor
    if tensor.ndim != like.ndim or not tensor.numel():
        return None
    if name.endswith("patch_embed.proj.weight") and tensor.shape[:2] == like.shape[:2]:
        patch: Tensor = resample_patch_embed(tensor.float(), list(like.shape[2:]))
        return patch
    return None


def _positions(tensor: Tensor, like: Tensor, places: Places) -> Tensor | None:
    """The file's positions on the network's grid, as timm resamples them; None where its grid is not known.

    A row before the patches is added to its token. So where the file has tokens and no rows for them, as with timm's
    `no_embed_class`, the network's rows are 0, and where it has no token they stay as they start.
    """
    from timm.layers import resample_abs_pos_embed  # slow to import

    if tensor.shape[::2] != like.shape[::2] or places.grid is None:
        return None
    fits = ((before, _grid(tensor, before, places)) for before in dict.fromkeys((places.tokens, 0)))
    before, grid = next((pair for pair in fits if pair[1]), (0, None))
    if grid is None or before not in (0, places.rows):
        return None
    if (before, grid) == (places.rows, places.grid):
        return tensor
    patches = resample_abs_pos_embed(tensor[:, before:].float(), [*places.grid], [*grid], num_prefix_tokens=0)
    first = tensor[:, :before].float()
    if before < places.rows:
        first = like[:, : places.rows] * (places.tokens == 0)
    return torch.cat([first, patches], 1)


def _grid(tensor: Tensor, before: int, places: Places) -> Grid | None:
    """The grid of what follows the first rows: as is told, the network's own, or a square; None where none fits."""
    count = tensor.shape[1] - before
    side = math.isqrt(max(count, 0))
    return next((g for g in (places.theirs, places.grid, (side, side)) if g and math.prod(g) == count > 0), None)
