"""Positions of files with and without rows for tokens, on grids of any shape: against a loop with Pillow, and timm."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from sslkit.backbones._timm import ViT
from sslkit.errors import UserError
from sslkit.weights import load_weights
from tests.weights.make import DIM, GRID, PATCH, mae_encoder, refused, saved, vit


def encoder(height: int, width: int, rows: int = 1, token: bool = True) -> dict[str, Tensor]:
    """A file's tensors, with positions of height x width patches, and so many rows before them."""
    tensors = mae_encoder() | {"pos_embed": torch.randn(1, rows + height * width, DIM)}
    return {name: t for name, t in tensors.items() if token or name != "cls_token"}


def folder(path: Path, tensors: dict[str, Tensor], about: object) -> Path:
    """As timm and the hub have it."""
    path.mkdir()
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(about))
    return path / "model.safetensors"


def on_grid(places: Tensor, height: int, width: int) -> Tensor:
    """(GRID², D) of (height * width, D), a channel after another by Pillow's bicubic filter."""
    found = []
    for channel in places.T:
        image = Image.fromarray(channel.reshape(height, width).contiguous().numpy())
        found.append(np.array(image.resize((GRID, GRID), Image.Resampling.BICUBIC)).flatten())
    return torch.from_numpy(np.stack(found, 1))


def positions(network: ViT) -> Tensor:
    return network.model.pos_embed.detach()[0]


@pytest.mark.parametrize(("height", "width"), [(2, 8), (8, 2), (1, 16), (3, 5), (2, 3), (7, 4)])
@pytest.mark.parametrize("kind", ["size", "arguments"])
def test_a_grid_that_config_json_names_is_resampled(height: int, width: int, kind: str, tmp_path: Path) -> None:
    """2 x 8 has as many patches as the network's 4 x 4: by their number alone it would be taken as it is."""
    size = [height * PATCH, width * PATCH]
    about = {"pretrained_cfg": {"input_size": [3, *size]}}
    if kind == "arguments":
        about = {"pretrained_cfg": {"input_size": [3, 224, 224]}, "model_args": {"img_size": size}}
    tensors, network = encoder(height, width), vit(pool="token")
    loaded = load_weights(network, folder(tmp_path / "f", tensors, about))
    assert loaded.resampled == ["model.pos_embed"]
    assert positions(network)[0].equal(tensors["pos_embed"][0, 0])
    expected = on_grid(tensors["pos_embed"][0, 1:], height, width)
    torch.testing.assert_close(positions(network)[1:], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("about", [{}, [], {"pretrained_cfg": None}, {"pretrained_cfg": {"input_size": [3, 96, 8]}}])
def test_a_config_that_does_not_fit_tells_nothing(about: object, tmp_path: Path) -> None:
    tensors, network = encoder(GRID, GRID), vit(pool="token")
    load_weights(network, folder(tmp_path / "f", tensors, about))
    assert positions(network).equal(tensors["pos_embed"][0])
    wide = folder(tmp_path / "wide", encoder(2, 5), about)
    refused(network, wide, r"pos_embed of .* \(1, 11, 16\) .* \(1, 17, 16\).*square grid")


@pytest.mark.parametrize("side", [2, 4, 5])
def test_a_class_token_without_a_row_of_its_own(side: int, tmp_path: Path) -> None:
    """As timm's `no_embed_class` has it (DeiT III): what is added to the token is 0."""
    tensors, network = encoder(side, side, rows=0), vit(pool="token")
    load_weights(network, saved(tmp_path, tensors))
    assert not positions(network)[0].any()
    torch.testing.assert_close(positions(network)[1:], on_grid(tensors["pos_embed"][0], side, side), rtol=0, atol=1e-4)
    theirs = timm.create_model(
        "vit_tiny_patch16_224", img_size=side * PATCH, patch_size=PATCH, embed_dim=DIM, depth=2, num_heads=2,
        num_classes=0, no_embed_class=True,
    ).eval()  # fmt: skip
    theirs.load_state_dict(tensors)
    if side == GRID:
        images = torch.randn(2, 3, PATCH * GRID, PATCH * GRID)
        torch.testing.assert_close(network.eval()(images).features, theirs(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (2, 2), (1, 17), (5, 2)])
def test_a_file_without_a_class_token(height: int, width: int, tmp_path: Path) -> None:
    """Refused; on request the token and its row stay as they start. 1 x 17 has as many rows as the network."""
    tensors, network = encoder(height, width, rows=0, token=False), vit(pool="token")
    path = saved(tmp_path, tensors)
    refused(network, path, "lacks 1 of .*cls_token")
    before = network.model.state_dict()
    token, row = before["cls_token"].clone(), before["pos_embed"][0, 0].clone()
    if height != width:
        with pytest.raises(UserError, match="pos_embed"):
            load_weights(network, path, partial=True)
        return
    load_weights(network, path, partial=True)
    assert network.model.cls_token.equal(token)
    assert positions(network)[0].equal(row)
    side = math.isqrt(height * width)
    torch.testing.assert_close(positions(network)[1:], on_grid(tensors["pos_embed"][0], side, side), rtol=0, atol=1e-4)
