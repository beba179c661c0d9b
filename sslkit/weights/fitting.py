"""Tensors in the shapes of a network for images of another size: position embeddings and patch projections."""

from __future__ import annotations

import math

from timm.layers import resample_abs_pos_embed, resample_patch_embed
from torch import Tensor

from sslkit.network import Classifier


def rows_of_no_patch(network: Classifier) -> int | None:
    """Rows of the position embedding that are of class or register tokens; None where the network does not tell.

    With registers timm's DINOv2 has none, also for its class token: a count of rows alone would not tell.
    """
    inner = getattr(network, "model", None)
    places, patches = getattr(inner, "pos_embed", None), getattr(inner, "patch_embed", None)
    count = getattr(patches, "num_patches", None)
    return int(places.shape[1] - count) if isinstance(places, Tensor) and count else None


def reshaped(name: str, tensor: Tensor, like: Tensor, rows: int | None) -> Tensor | None:
    """The tensor in the shape of `like`; None where it is of another kind. `rows` as `rows_of_no_patch`."""
    if tensor.shape == like.shape:
        return tensor
    if tensor.ndim != like.ndim or not tensor.numel():
        return None
    if name.endswith("patch_embed.proj.weight") and tensor.shape[:2] == like.shape[:2]:
        patch: Tensor = resample_patch_embed(tensor.float(), list(like.shape[2:]))
        return patch
    if name.endswith("pos_embed") and tensor.ndim == 3 and tensor.shape[::2] == like.shape[::2]:
        sides = [math.isqrt(t.shape[1] - (rows or 0)) for t in (tensor, like)]
        extra = [t.shape[1] - side**2 for t, side in zip((tensor, like), sides, strict=True)]
        if extra[0] == extra[1]:
            grids = [[side, side] for side in sides]
            places: Tensor = resample_abs_pos_embed(tensor.float(), grids[1], grids[0], num_prefix_tokens=extra[0])
            return places
    return None
