"""Small networks, and files under the official names of other programs; the names are written out here."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from sslkit import registry
from sslkit.backbones._timm import ViT, Width
from sslkit.errors import UserError
from sslkit.network import Classifier, Shape
from sslkit.randomness import seeded
from sslkit.weights import Loaded, load_weights

DIM, DEPTH, PATCH, GRID, CLASSES = 16, 2, 4, 4, 7


class Tiny(ViT):
    width = Width(DIM, DEPTH, 2)


def vit(size: int = PATCH * GRID, classes: int = CLASSES, seed: int = 0, **options: Any) -> ViT:
    seeded("backbone", seed)
    return Tiny(Shape(size, classes), **({"patch": PATCH} | options))


def backbone(name: str, size: int, **options: Any) -> Any:
    """A `Classifier`; what else it has, each test knows of the one that it named."""
    seeded("backbone", 0)
    return registry.load("backbone", name)(Shape(size, CLASSES), **options)


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape)


def block(dim: int, hidden: int, before: str = "") -> dict[str, Tensor]:
    """One transformer block as timm and MAE name it."""
    sizes = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim), "mlp.fc1": (hidden, dim), "mlp.fc2": (dim, hidden)}
    linear = {f"{before}{n}.weight": draw(*size) for n, size in sizes.items()}
    biases = {f"{before}{n}.bias": draw(size[0]) for n, size in sizes.items()}
    norms = {f"{before}{n}.{part}": draw(dim) for n in ("norm1", "norm2") for part in ("weight", "bias")}
    return linear | biases | norms


def mae_encoder(
    dim: int = DIM, patch: int = PATCH, grid: int = GRID, seed: int = 1, depth: int = DEPTH
) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    tensors = {
        "cls_token": draw(1, 1, dim),
        "pos_embed": draw(1, 1 + grid**2, dim),
        "patch_embed.proj.weight": draw(dim, 3, patch, patch),
        "patch_embed.proj.bias": draw(dim),
        "norm.weight": draw(dim),
        "norm.bias": draw(dim),
    }
    for i in range(depth):
        tensors |= block(dim, 4 * dim, f"blocks.{i}.")
    return tensors


def mae_decoder(dim: int = DIM, wide: int = 8) -> dict[str, Tensor]:
    tensors = {
        "mask_token": draw(1, 1, wide),
        "decoder_pos_embed": draw(1, 1 + GRID**2, wide),
        "decoder_embed.weight": draw(wide, dim),
        "decoder_embed.bias": draw(wide),
        "decoder_norm.weight": draw(wide),
        "decoder_norm.bias": draw(wide),
        "decoder_pred.weight": draw(3 * PATCH**2, wide),
        "decoder_pred.bias": draw(3 * PATCH**2),
    }
    return tensors | block(wide, 4 * wide, "decoder_blocks.0.")


def classifier(classes: int = CLASSES, seed: int = 1) -> dict[str, Tensor]:
    """An encoder with mean pooling and a head, as MAE and Semi-ViT save it after fine-tuning."""
    tensors = {n: t for n, t in mae_encoder(seed=seed).items() if not n.startswith("norm.")}
    head = {"head.weight": draw(classes, DIM), "head.bias": draw(classes)}
    return tensors | {"fc_norm.weight": draw(DIM), "fc_norm.bias": draw(DIM)} | head


def saved(folder: Path, content: Any, name: str = "weights.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def state(network: Classifier) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def holds(network: Classifier, tensors: dict[str, Tensor]) -> None:
    """Every one of `tensors` is in the network, below `model.`."""
    found = network.state_dict()
    for name, tensor in tensors.items():
        assert found[f"model.{name}"].equal(tensor), name


def refused(network: Classifier, path: Path, says: str, which: str | None = None) -> str:
    """The one line of the error; the network is as it was."""
    before = state(network)
    with pytest.raises(UserError, match=says) as caught:
        load_weights(network, path, which)
    after = network.state_dict()
    assert all(tensor.equal(after[name]) for name, tensor in before.items())
    line = str(caught.value)
    assert "\n" not in line
    assert line.isprintable()
    return line


def printed(loaded: Loaded) -> str:
    text = io.StringIO()
    Console(file=text, width=120).print(loaded.table())
    return text.getvalue()
