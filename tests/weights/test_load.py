"""Files of other programs: which tensor comes where, and what is said of the others."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from sslkit.errors import UserError
from sslkit.network import Classifier, Output
from sslkit.weights import load_weights

from .make import (
    CLASSES,
    DIM,
    GRID,
    PATCH,
    backbone,
    classifier,
    holds,
    mae_decoder,
    mae_encoder,
    printed,
    refused,
    saved,
    state,
    vit,
)

HEAD = ["model.head.weight", "model.head.bias"]
FC_NORM = ["model.fc_norm.weight", "model.fc_norm.bias"]
NORM = ["norm.weight", "norm.bias"]


def without_norm(tensors):
    return {name: tensor for name, tensor in tensors.items() if name not in NORM}


def test_mae_encoder_lacks_the_head_and_with_mean_pooling_its_norm(tmp_path: Path) -> None:
    tensors = mae_encoder()
    path = saved(tmp_path, {"model": tensors})
    mean, token = vit(pool="mean"), vit(pool="token")
    start = state(mean)
    loaded = load_weights(mean, path)
    assert sorted(loaded.missing) == sorted(FC_NORM + HEAD)
    assert sorted(loaded.ignored) == sorted(NORM)
    assert not loaded.unexpected
    assert not loaded.resampled
    assert len(loaded.loaded) == len(tensors) - 2
    holds(mean, without_norm(tensors))
    assert all(mean.state_dict()[name].equal(start[name]) for name in loaded.missing)
    loaded = load_weights(token, path)
    assert sorted(loaded.missing) == sorted(HEAD)
    assert not loaded.ignored
    holds(token, tensors)


def test_decoder_of_a_whole_mae_is_ignored_and_counted(tmp_path: Path) -> None:
    encoder, decoder = mae_encoder(), mae_decoder()
    path = saved(tmp_path, {"model": encoder | decoder, "epoch": 799, "args": Namespace(mask_ratio=0.75)})
    network = vit()
    loaded = load_weights(network, path)
    assert set(loaded.ignored) == {*decoder, *NORM}
    assert not loaded.unexpected
    holds(network, without_norm(encoder))
    assert f"{len(decoder) + 2}" in printed(loaded)


def test_semi_vit_file_holds_a_model_and_its_average(tmp_path: Path) -> None:
    raw, averaged = classifier(seed=1), classifier(seed=2)
    content = {"model": raw, "model_ema": averaged, "epoch": 99, "scaler": {"scale": 2.0}, "args": Namespace(lr=1e-3)}
    path = saved(tmp_path, content)
    network = vit()
    loaded = load_weights(network, path)
    assert not loaded.missing
    assert not loaded.unexpected
    assert loaded.remarks == ["'model' is taken of model, model_ema"]
    holds(network, raw)
    load_weights(network, path, "model_ema")
    holds(network, averaged)
    assert "model_ema" in refused(network, path, "unknown set of weights 'model_em'", "model_em")


def test_dino_file_holds_student_and_teacher(tmp_path: Path) -> None:
    student, teacher = mae_encoder(seed=1), mae_encoder(seed=2)
    head = {f"module.head.{name}": torch.randn(5) for name in ("mlp.0.weight", "last_layer.weight_g")}
    content = {
        name: {f"module.backbone.{n}": t for n, t in tensors.items()} | head
        for name, tensors in (("student", student), ("teacher", teacher))
    }
    path = saved(tmp_path, content | {"dino_loss": {"center": torch.zeros(1, 5)}, "args": Namespace(arch="vit_small")})
    network = vit(pool="token")
    loaded = load_weights(network, path)
    holds(network, teacher)
    assert loaded.remarks == ["'teacher' is taken of teacher, student"]
    assert sorted(loaded.missing) == sorted(HEAD)
    assert sorted(loaded.unexpected) == sorted(head)
    load_weights(network, path, "student")
    holds(network, student)


@pytest.mark.parametrize("end", [".pth", ".safetensors"])
def test_timm_file_gives_timms_logits(end: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    arguments = {"img_size": 16, "patch_size": 4, "embed_dim": DIM, "depth": 2, "num_heads": 2}
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES, **arguments).eval()
    path = tmp_path / f"timm{end}"
    (save_file if end == ".safetensors" else torch.save)(theirs.state_dict(), path)
    network = vit(pool="token").eval()
    loaded = load_weights(network, path)
    assert len(loaded.loaded) == len(theirs.state_dict())
    assert not loaded.missing + loaded.unexpected + loaded.ignored + loaded.remarks
    x = torch.randn(2, 3, 16, 16)
    assert network(x).logits.equal(theirs(x))


def test_timm_resnet_with_buffers(tmp_path: Path) -> None:
    torch.manual_seed(3)
    theirs = timm.create_model("resnet18", num_classes=5)
    theirs(torch.randn(2, 3, 96, 96))
    network = backbone("resnet18", 96)
    loaded = load_weights(network, saved(tmp_path, {"state_dict": theirs.state_dict()}))
    assert loaded.missing == ["model.fc.weight", "model.fc.bias"]
    assert loaded.remarks == ["the file's head is of 5 classes, the network's of 7: it starts anew"]
    holds(network, {n: t for n, t in theirs.state_dict().items() if not n.startswith("fc.")})
    assert network.model.bn1.num_batches_tracked == 1


@pytest.mark.parametrize("before", ["module.", "_orig_mod.", "backbone.", "encoder.", "model.", "module._orig_mod."])
@pytest.mark.parametrize("container", [None, "model", "state_dict", "model_state_dict", "teacher", "student"])
def test_prefixes_and_containers(before: str, container: str | None, tmp_path: Path) -> None:
    tensors = mae_encoder()
    named = {before + name: tensor for name, tensor in tensors.items()}
    network = vit(pool="token")
    loaded = load_weights(network, saved(tmp_path, {container: named} if container else named))
    assert sorted(loaded.missing) == sorted(HEAD)
    assert not loaded.remarks
    holds(network, tensors)


def test_containers_in_flat_names_as_a_stage_of_ours_has_them(tmp_path: Path) -> None:
    networks = {"student": vit(seed=1), "averaged": vit(seed=2)}
    named = {f"{part}.{n}": t for part, network in networks.items() for n, t in network.state_dict().items()}
    save_file(named | {"algorithm.thresholds": torch.zeros(3)}, tmp_path / "weights.safetensors")
    for which, source in (None, "averaged"), ("student", "student"), ("averaged", "averaged"):
        network = vit(seed=3)
        loaded = load_weights(network, tmp_path / "weights.safetensors", which)
        assert not loaded.missing
        assert loaded.ignored == ["algorithm.thresholds"]
        assert all(tensor.equal(networks[source].state_dict()[name]) for name, tensor in network.state_dict().items())


def test_wide_resnet_of_ours(tmp_path: Path) -> None:
    source, network = backbone("wrn_10_1", 16), backbone("wrn_10_1", 16)
    with torch.no_grad():
        for p in source.parameters():
            p.normal_()
    loaded = load_weights(network, saved(tmp_path, {"model": source.state_dict()}))
    assert not loaded.missing
    assert all(tensor.equal(source.state_dict()[name]) for name, tensor in network.state_dict().items())


class Headed(Classifier):
    """A part of someone's own: its names begin with what is a container elsewhere."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.model, self.encoder, self.head = nn.Linear(8, 4), nn.Linear(4, 4), nn.Linear(4, CLASSES)

    def forward(self, images: torch.Tensor) -> Output:
        features = self.encoder(self.model(images.flatten(1)))
        return Output(self.head(features), features)


@pytest.mark.parametrize("before", ["", "module.", "student."])
def test_network_with_names_that_are_containers_and_prefixes(before: str, tmp_path: Path) -> None:
    source, network = Headed(0), Headed(1)
    named = {before + name: tensor for name, tensor in source.state_dict().items()}
    loaded = load_weights(network, saved(tmp_path, named))
    assert not loaded.missing + loaded.unexpected + loaded.ignored
    assert all(tensor.equal(source.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_half_precision_becomes_the_networks(tmp_path: Path) -> None:
    tensors = mae_encoder()
    network = vit(pool="token")
    load_weights(network, saved(tmp_path, {n: t.bfloat16() for n, t in tensors.items()}))
    assert {t.dtype for t in network.state_dict().values()} == {torch.float32}
    holds(network, {n: t.bfloat16().float() for n, t in tensors.items()})


def resized(image: torch.Tensor, side: int) -> torch.Tensor:
    """(h, w) float32 by Pillow's bicubic filter."""
    return torch.from_numpy(np.array(Image.fromarray(image.numpy()).resize((side, side), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize("grid", [2, 3, 7])
def test_positions_of_another_grid_are_resampled_as_pillow_does(grid: int, tmp_path: Path) -> None:
    tensors = mae_encoder(grid=grid)
    network = vit(pool="token")
    loaded = load_weights(network, saved(tmp_path, tensors))
    assert loaded.resampled == ["model.pos_embed"]
    holds(network, {n: t for n, t in tensors.items() if n != "pos_embed"})
    found = network.model.pos_embed.detach()
    assert found[:, 0].equal(tensors["pos_embed"][:, 0])
    for channel in range(DIM):
        image = tensors["pos_embed"][0, 1:, channel].reshape(grid, grid).contiguous()
        torch.testing.assert_close(found[0, 1:, channel].reshape(GRID, GRID), resized(image, GRID), rtol=0, atol=1e-4)
    assert "of these, resampled" in printed(loaded)


def test_projection_of_smaller_patches_gives_the_same_tokens_of_larger_images(tmp_path: Path) -> None:
    """What FlexiViT's resampling is made for: enlarge the patch, and its token stays."""
    tensors = mae_encoder(patch=PATCH)
    network = vit(size=2 * PATCH * GRID, patch=2 * PATCH, pool="token")
    loaded = load_weights(network, saved(tmp_path, tensors))
    assert loaded.resampled == ["model.patch_embed.proj.weight"]
    kernel = network.model.patch_embed.proj.weight.detach()
    patch = torch.randn(3, PATCH, PATCH)
    larger = torch.stack([resized(plane, 2 * PATCH) for plane in patch])
    before = (tensors["patch_embed.proj.weight"] * patch).sum((1, 2, 3))
    torch.testing.assert_close((kernel * larger).sum((1, 2, 3)), before, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("old", "grid"), [(2, GRID), (8, 14), (16, 14)])
def test_projection_is_the_least_squares_one(old: int, grid: int, tmp_path: Path) -> None:
    """With B the matrix that resizes a patch, the new kernel is the shortest v that brings B'v nearest to the old."""
    tensors = mae_encoder(patch=old, grid=grid)
    network = vit(pool="token")
    assert "model.patch_embed.proj.weight" in load_weights(network, saved(tmp_path, tensors)).resampled
    units = torch.eye(old**2).reshape(-1, old, old)
    matrix = np.stack([resized(unit, PATCH).flatten().numpy() for unit in units]).astype(np.float64)  # B'
    planes = tensors["patch_embed.proj.weight"].reshape(-1, old**2).numpy().T
    expected = torch.from_numpy(np.linalg.lstsq(matrix, planes)[0].T).float()
    found = network.model.patch_embed.proj.weight.detach().reshape(-1, PATCH**2)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_fixed_positions_are_loaded_and_stay_fixed(tmp_path: Path) -> None:
    tensors = mae_encoder()
    network = vit(pool="token", pos_embed="sincos")
    load_weights(network, saved(tmp_path, tensors))
    holds(network, tensors)
    assert not network.model.pos_embed.requires_grad


def test_head_of_as_many_classes_is_loaded_and_of_others_is_not(tmp_path: Path) -> None:
    tensors = classifier(classes=CLASSES)
    path = saved(tmp_path, {"model": tensors})
    network, other = vit(), vit(classes=3)
    assert not load_weights(network, path).missing
    holds(network, tensors)
    start = state(other)
    loaded = load_weights(other, path)
    assert sorted(loaded.missing) == sorted(HEAD)
    assert loaded.remarks == ["the file's head is of 7 classes, the network's of 3: it starts anew"]
    assert all(other.state_dict()[name].equal(start[name]) for name in HEAD)
    assert "7 classes" in printed(loaded)


def test_network_on_the_way_to_training_keeps_its_layout_and_gradients(tmp_path: Path) -> None:
    network = backbone("resnet18", 96).to(memory_format=torch.channels_last)
    source = backbone("resnet18", 96)
    load_weights(network, saved(tmp_path, source.state_dict()))
    assert network.model.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert all(p.requires_grad for p in network.parameters())


def test_half_of_the_network_is_enough_where_that_is_said_and_what_is_missing_is_named(tmp_path: Path) -> None:
    tensors = mae_encoder()
    lacking = {n: t for n, t in tensors.items() if not n.startswith("blocks.1.mlp.fc1")}
    network = vit(pool="token")
    start = state(network)
    path = saved(tmp_path, lacking | {"[red]odd\x1b": torch.zeros(2)})
    with pytest.raises(
        UserError, match=r"lacks 2 of .* blocks.1.mlp.fc1.weight, blocks.1.mlp.fc1.bias; --weights-partial"
    ):
        load_weights(network, path)
    assert all(network.state_dict()[name].equal(start[name]) for name in start)
    loaded = load_weights(network, path, partial=True)
    names = ["model.blocks.1.mlp.fc1.weight", "model.blocks.1.mlp.fc1.bias"]
    assert sorted(loaded.missing) == sorted([*HEAD, *names])
    assert all(network.state_dict()[name].equal(start[name]) for name in names)
    assert loaded.unexpected == ["[red]odd\x1b"]
    text = printed(loaded)
    assert "[red]odd?" in text
    assert "\x1b" not in text
    assert f"and {len(loaded.loaded) - 4} more" in text.replace("\n", " ")
