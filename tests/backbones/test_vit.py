"""Vision transformers: what is published, and their options."""

from __future__ import annotations

import math

import pytest
import torch

from sslkit import registry
from sslkit.network import Shape

from .make import CLASSES, NAMES, images, make


@pytest.mark.parametrize(
    ("name", "size", "patch"),
    [(n, 224, None) for n in NAMES if n.startswith("vit_")] + [("vit_micro", size, 4) for size in (8, 32, 64)],
)
def test_vits_are_sized_for_the_image(name, size, patch):
    cls = registry.load("backbone", name)
    with torch.device("meta"):
        network = cls(Shape(size, CLASSES))
        out = network(torch.empty(2, 3, size, size))
    patch = patch or cls.width.patch
    assert network.model.pos_embed.shape == (1, (size // patch) ** 2 + 1, cls.width.dim)
    assert len(network.model.blocks) == cls.width.depth
    assert out.logits.shape == (2, CLASSES)
    assert out.features.shape == (2, network.feature_dim) == (2, cls.width.dim)


def test_vit_is_the_published_one():
    """Width, blocks and heads; norms with eps 1e-6, biases at queries, keys and values, MLP of four times the width."""
    blocks = {"base": (768, 12, 12), "large": (1024, 24, 16), "huge": (1280, 32, 16), "small": (384, 12, 6)}
    for name, (dim, depth, heads) in blocks.items():
        with torch.device("meta"):
            model = registry.load("backbone", f"vit_{name}")(Shape(224, 10)).model
        assert len(model.blocks) == depth
        block = model.blocks[0]
        assert block.attn.num_heads == heads
        assert block.attn.qkv.weight.shape == (3 * dim, dim)
        assert block.attn.qkv.bias is not None
        assert block.mlp.fc1.weight.shape == (4 * dim, dim)
        assert block.norm1.eps == 1e-6
        assert model.patch_embed.patch_size == ((14, 14) if name == "huge" else (16, 16))


def test_pooling_is_of_the_patches_then_norm_or_of_the_class_token():
    for pool in ("mean", "token"):
        network = make("vit_micro", pool=pool).eval()
        model, x = network.model, images(2)
        tokens = model.patch_embed(x)
        tokens = torch.cat([model.cls_token.expand(2, -1, -1), tokens], 1) + model.pos_embed
        for block in model.blocks:
            tokens = block(tokens)
        expected = model.fc_norm(tokens[:, 1:].mean(1)) if pool == "mean" else model.norm(tokens)[:, 0]
        out = network(x)
        torch.testing.assert_close(out.features, expected)
        torch.testing.assert_close(out.logits, model.head(expected))


def placed(dim, side):
    """MAE's position embedding from its definition, one number at a time; the class token's row is zero."""
    table = torch.zeros(1, 1 + side**2, dim, dtype=torch.float64)
    quarter = dim // 4
    for row in range(side):
        for column in range(side):
            for t in range(quarter):
                for half, place in enumerate((column, row)):
                    angle = place / 10000 ** (t / quarter)
                    table[0, 1 + row * side + column, 2 * half * quarter + t] = math.sin(angle)
                    table[0, 1 + row * side + column, (2 * half + 1) * quarter + t] = math.cos(angle)
    return table.float()


@pytest.mark.parametrize("name", ["vit_micro", "vit_huge"])
def test_fixed_positions_are_sines_and_cosines_and_not_trained(name):
    network = make(name, size=12, pos_embed="sincos", patch=4)
    learned = make(name, size=12, patch=4)
    torch.testing.assert_close(network.model.pos_embed.detach(), placed(network.feature_dim, 3), rtol=0, atol=1e-6)
    network(images(2, 12)).logits.sum().backward()
    assert network.model.pos_embed.grad is None
    assert learned.model.pos_embed.requires_grad
    assert 0.015 < learned.model.pos_embed.std() < 0.025
    others = [n for n in network.state_dict() if not n.endswith("pos_embed")]
    assert all(network.state_dict()[n].equal(learned.state_dict()[n]) for n in others)


@pytest.mark.parametrize("name", ["vit_tiny", "vit_base"])
@pytest.mark.parametrize("std", [2e-5, 0.02, 0.0])
def test_head_starts_as_wide_as_asked_and_nothing_else_moves(name, std):
    network, usual = make(name, head_std=std), make(name)
    head = network.model.head
    assert head.weight.std().item() == pytest.approx(std, rel=0.1)
    assert not head.bias.any()
    found, start = network.state_dict(), usual.state_dict()
    assert all(found[n].equal(start[n]) for n in start if n != "model.head.weight")
    assert found["model.head.weight"].equal(start["model.head.weight"]) == (std == 0.02)


@pytest.mark.parametrize("pos_embed", ["learned", "sincos"])
@pytest.mark.parametrize("pool", ["mean", "token"])
def test_options_of_published_recipes_go_together(pool, pos_embed):
    network = make("vit_mini", pool=pool, pos_embed=pos_embed, head_std=2e-5, drop_path=0.1).train()
    network(images(3)).logits.square().sum().backward()
    lacking = {n for n, p in network.named_parameters() if p.grad is None}
    assert lacking == ({"model.pos_embed"} if pos_embed == "sincos" else set())


def test_drop_path_rises_linearly():
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in make("vit_micro", drop_path=0.3).model.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
