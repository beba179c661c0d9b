"""The masked autoencoder against the official code's arithmetic, written out in float64."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sslkit.algorithms.pretrainers.mae import MAE, patches_of
from sslkit.contracts import Stream
from sslkit.errors import UserError
from sslkit.network import PatchEncoder, sincos
from tests.algorithms.make import STEP, Small, gradient, network, setup

N, PATCH, SIDE = 6, 2, 8
L = (SIDE // PATCH) ** 2
Pool = Literal["mean", "token"]


def made(pool: Pool = "mean", **options: Any) -> MAE:
    from sslkit.network import Shape

    torch.manual_seed(0)
    student = Small(Shape(SIDE, 5), patch=PATCH, pool=pool)
    with torch.no_grad():
        student.model.pos_embed.normal_(std=0.3)
    return MAE(setup(student), **({"decoder_dim": 32, "decoder_depth": 1} | options))


def pictures(seed: int = 0) -> Tensor:
    return torch.randn(N, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def batch(images: Tensor) -> dict[str, Stream]:
    return {"all": Stream({"pretrain": images}, torch.arange(len(images)))}


def layer_norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-6).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def block(x: Tensor, state: dict[str, Tensor], name: str, heads: int) -> Tensor:
    """A pre-norm transformer block for one image's tokens (T, D)."""
    y = layer_norm(x, state, f"{name}.norm1") @ state[f"{name}.attn.qkv.weight"].T + state[f"{name}.attn.qkv.bias"]
    size = x.shape[1] // heads
    mixed = []
    for h in range(heads):
        q, k, v = (y[:, part * x.shape[1] + h * size :][:, :size] for part in range(3))
        mixed.append((q @ k.T / math.sqrt(size)).softmax(1) @ v)
    x = x + torch.cat(mixed, 1) @ state[f"{name}.attn.proj.weight"].T + state[f"{name}.attn.proj.bias"]
    y = layer_norm(x, state, f"{name}.norm2") @ state[f"{name}.mlp.fc1.weight"].T + state[f"{name}.mlp.fc1.bias"]
    return x + F.gelu(y) @ state[f"{name}.mlp.fc2.weight"].T + state[f"{name}.mlp.fc2.bias"]


def written_out(mae: MAE, images: Tensor, order: list[list[int]], normalise: bool) -> float:
    """The loss, image by image and patch by patch."""
    state = {name: value.double() for name, value in mae.state_dict().items()}
    trunk = {name.removeprefix("student.model."): value for name, value in state.items()}
    grid, total, count = SIDE // PATCH, 0.0, 0
    for image, places in zip(images.double(), order, strict=True):
        cut = [image[:, r * 2 : r * 2 + 2, c * 2 : c * 2 + 2] for r in range(grid) for c in range(grid)]
        kernel = trunk["patch_embed.proj.weight"].flatten(1)
        pos = trunk["pos_embed"][0]
        seen, hidden = places[: mae.visible], places[mae.visible :]
        tokens = [kernel @ cut[i].flatten() + trunk["patch_embed.proj.bias"] + pos[1 + i] for i in seen]
        x = torch.stack([trunk["cls_token"][0, 0] + pos[0], *tokens])
        for i in range(2):
            x = block(x, trunk, f"blocks.{i}", 2)
        x = layer_norm(x, state, "norm") if mae.encoder.pools_patches else layer_norm(x, trunk, "norm")
        x = x @ state["decoder_embed.weight"].T + state["decoder_embed.bias"]
        full = [x[1 + seen.index(i)] if i in seen else state["mask_token"][0, 0] for i in range(L)]
        y = torch.stack([x[0], *full]) + state["decoder_pos_embed"][0]
        y = layer_norm(block(y, state, "decoder_blocks.0", 1), state, "decoder_norm")
        y = y @ state["decoder_pred.weight"].T + state["decoder_pred.bias"]
        for i in hidden:
            target = cut[i].permute(1, 2, 0).flatten()  # channels last
            if normalise:
                target = (target - target.mean()) / (target.var() + 1e-6).sqrt()
            total += float((y[1 + i] - target).square().mean())
            count += 1
    return total / count


@pytest.mark.parametrize("pool", ["mean", "token"])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("mask", [0.75, 0.5])
def test_the_loss_is_the_official_one(pool: Pool, normalise: bool, mask: float) -> None:
    mae, images = made(pool, mask=mask, normalise=normalise), pictures()
    assert mae.visible == L - round(L * mask)
    order = STEP.uniform("mask", N, L, device=torch.device("cpu")).argsort(1).tolist()
    loss = mae(batch(images), STEP).terms["reconstruction"]
    assert float(loss.detach()) == pytest.approx(written_out(mae, images, order, normalise), rel=1e-5)


def test_hidden_pixels_do_not_reach_the_encoder() -> None:
    mae, images = made(), pictures()
    order = STEP.uniform("mask", N, L, device=torch.device("cpu")).argsort(1)
    images.requires_grad_(True)
    mae.reconstruct(images, order[:, : mae.visible]).square().sum().backward()
    flow = patches_of(gradient(images), PATCH).abs().sum(2)  # (N, L)
    assert torch.equal((flow > 0).sum(1), torch.full((N,), mae.visible))
    assert (flow.gather(1, order[:, : mae.visible]) > 0).all()


def test_every_draw_hides_other_patches_and_all_alike() -> None:
    hidden = torch.zeros(L)
    for index in range(300):
        step = STEP.at(index)
        hidden += torch.bincount(step.uniform("mask", N, L, device=torch.device("cpu")).argsort(1)[:, 4:].flatten())
    share = hidden / (300 * N)
    assert float((share - 0.75).abs().max()) < 0.05


def test_patches_are_numbered_row_by_row_with_channels_last() -> None:
    images = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    made = patches_of(images, 2)
    assert made.shape == (2, 6, 12)
    assert torch.equal(made[1, 4], images[1, :, 2:4, 2:4].permute(1, 2, 0).flatten())


def test_position_embedding_encodes_the_column_first() -> None:
    """The official formula, number by number."""
    made = sincos(16, 3, 5)[0].double().numpy()
    assert not made[0].any()
    for row in range(3):
        for column in range(5):
            expected = []
            for place in (column, row):
                w = [10000 ** -(t / 4) for t in range(4)]
                expected += [math.sin(place * x) for x in w] + [math.cos(place * x) for x in w]
            np.testing.assert_allclose(made[1 + row * 5 + column], expected, atol=1e-6)


@pytest.mark.parametrize("pool", ["mean", "token"])
def test_all_patches_give_what_the_network_itself_sees(pool: Pool) -> None:
    """In any order: the trunk's tokens, and with them the classifier's features."""
    student = made(pool).student
    assert isinstance(student, Small)
    images = pictures()
    order = torch.stack([torch.randperm(L) for _ in range(N)])
    tokens = student.encode(images, order)
    expected = student.model.forward_features(images)
    back = tokens[:, 1:].gather(1, order.argsort(1)[..., None].expand(-1, -1, tokens.shape[2]))
    torch.testing.assert_close(torch.cat([tokens[:, :1], back], 1), expected, atol=1e-4, rtol=1e-4)


def test_the_head_stays_as_it_starts() -> None:
    """Pre-training does not touch it, so that the next stage starts as one without pre-training would."""
    student = network()
    before = {n: p.clone() for n, p in student.named_parameters() if "head" in n or "fc_norm" in n}
    mae = MAE(setup(student), decoder_dim=32, decoder_depth=1)
    mae(batch(pictures()), STEP).total.backward()
    for name, value in before.items():
        assert torch.equal(dict(student.named_parameters())[name], value)
        assert dict(student.named_parameters())[name].grad is None


def test_names_of_the_decoder_are_the_official_ones() -> None:
    names = {name.partition(".")[0] for name in made().state_dict() if name.startswith(("decoder", "mask"))}
    official = {"decoder_embed", "mask_token", "decoder_pos_embed", "decoder_blocks", "decoder_norm", "decoder_pred"}
    assert names == official


def test_what_cannot_be_is_refused() -> None:
    for mask in (0.0, 1.0, 0.99):
        with pytest.raises(UserError, match=r"pretrainer\.mask"):
            made(mask=mask)
    with pytest.raises(UserError, match="multiple of 32"):
        made(decoder_dim=40)
    with pytest.raises(UserError, match="vision transformer"):
        MAE(setup(network("wrn")))
    assert isinstance(network(), PatchEncoder)


@pytest.mark.parametrize(
    ("backbone", "dim", "depth"),
    [("vit_micro", 96, 3), ("vit_mini", 128, 4), ("vit_small", 256, 8), ("vit_base", 512, 8), ("vit_large", 512, 8)],
)
def test_the_decoder_is_two_thirds_of_the_encoder_and_at_most_the_published_one(
    backbone: str, dim: int, depth: int
) -> None:
    from sslkit import registry
    from sslkit.network import Shape

    with torch.device("meta"):
        mae = MAE(setup(registry.load("backbone", backbone)(Shape(32, 5))))
    assert mae.decoder_embed.out_features == dim
    assert len(mae.decoder_blocks) == depth
