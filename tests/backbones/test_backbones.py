"""What holds for every backbone, at 8 px, and the sizes of the large ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from sslkit import registry
from sslkit.backbones._timm import ViT, learning_rates
from sslkit.errors import UserError
from sslkit.network import Classifier, Output, Shape
from sslkit.optim import optimizer
from sslkit.randomness import seeded
from sslkit.resolve import options
from tests.guard import no_sync

CLASSES = 7
NAMES = [entry.name for entry in registry.entries("backbone") if entry.origin == "built in"]
EXAMPLES = {"timm": ("test_vit", "test_resnet", "test_efficientnet", "test_convnext", "vit_tiny_patch16_224")}
CASES = [(name, model) for name in NAMES for model in EXAMPLES.get(name, ("",))]
LARGE = 150  # a ViT wider than this is tested with two blocks


def make(name: str, model: str = "", size: int = 8, seed: int = 0, **chosen: object) -> Classifier:
    cls = registry.load("backbone", name)
    if issubclass(cls, ViT) and cls.width.dim > LARGE:
        cls = type(cls.__name__, (cls,), {"width": replace(cls.width, depth=2)})
    seeded("backbone", seed)
    made: Classifier = cls(Shape(size, CLASSES), **({"model": model} if model else {}), **chosen)
    return made


def images(n: int, size: int = 8) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "model"), CASES)
def test_every_backbone(name, model):
    """Shapes, gradients, and what it says of itself."""
    network = make(name, model, size=32 if model else 8).train()
    x = images(3, 32 if model else 8)
    before = x.clone()
    with torch.no_grad():  # some weights start at zero, and would hide those before them
        for p in network.parameters():
            p.add_(torch.randn_like(p), alpha=0.01)
    with no_sync():
        out = network(x)
        (out.logits.square().sum() + out.logits.sum()).backward()
    assert isinstance(out, Output)
    assert out.logits.shape == (3, CLASSES)
    assert out.features.shape == (3, network.feature_dim)
    assert out.logits.dtype == out.features.dtype == torch.float32
    assert out.logits.isfinite().all()
    assert x.equal(before)
    for parameter, p in network.named_parameters():
        assert p.grad is not None, parameter
        assert p.grad.isfinite().all(), parameter
        assert p.grad.any(), parameter


@pytest.mark.parametrize(("name", "model"), CASES)
def test_every_backbone_decays_matrices_but_no_tokens_and_positions(name, model):
    network = make(name, model, size=32 if model else 8)
    parameters = dict(network.named_parameters())
    spared = {n for n in parameters if n in network.no_weight_decay()}
    tokens = {n for n in parameters if n.endswith(("pos_embed", "cls_token"))}
    assert tokens <= spared
    undecayed = {id(parameters[n]) for n in spared}
    groups = optimizer(network, undecayed, {"weight_decay": 0.3, "lr": 1e-3, "optimizer": "adamw"}).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for parameter, p in parameters.items():
        assert decay[id(p)] == (0.3 if p.ndim > 1 and parameter not in spared else 0.0)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "timm"])
def test_every_name_without_weight_decay_is_a_parameter(name):
    network = make(name)
    assert network.no_weight_decay() <= set(dict(network.named_parameters()))


@pytest.mark.parametrize(("name", "model"), CASES)
def test_every_backbone_is_reproducible_and_differs_by_seed(name, model):
    size = 32 if model else 8
    one, same, other = (make(name, model, size, seed).state_dict() for seed in (0, 0, 1))
    assert all(value.equal(same[key]) for key, value in one.items())
    assert any(not value.equal(other[key]) for key, value in one.items())


@pytest.mark.parametrize(("name", "model"), CASES)
def test_every_backbone_takes_one_image_in_eval_mode(name, model):
    network = make(name, model, size=32 if model else 8).eval()
    x = images(3, 32 if model else 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x[:1]).logits, network(x).logits[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in NAMES if "drop_path" in options(registry.load("backbone", n))])
def test_drop_path_is_active_in_train_mode_alone(name):
    network = make(name, drop_path=0.5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)  # the last norm of a residual block starts at zero
    x = images(8)
    torch.manual_seed(0)
    for training in (False, True):
        network.train(training)
        assert torch.allclose(network(x).logits, network(x).logits) != training


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


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("vit_tiny", 5.6, 5.8), ("vit_small", 22.0, 22.1), ("vit_base", 86, 87), ("vit_large", 303, 307),
     ("vit_huge", 631, 633), ("resnet18", 11.6, 11.8), ("resnet50", 25.5, 25.6)],
)  # fmt: skip
def test_published_numbers_of_parameters(name, low, high):
    """Of ImageNet networks: 224 px, 1000 classes."""
    with torch.device("meta"):
        network = registry.load("backbone", name)(Shape(224, 1000))
    assert low < sum(p.numel() for p in network.parameters()) / 1e6 < high


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


def test_drop_path_rises_linearly():
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in make("vit_micro", drop_path=0.3).model.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_small_images_get_a_small_stem():
    for size, side in ((32, 4), (64, 8), (96, 3)):
        network = make("resnet18", size=size).eval()
        assert network.model.forward_features(images(1, size)).shape[-1] == side


@pytest.mark.parametrize(
    ("name", "size", "chosen", "says"),
    [
        ("vit_micro", 10, {}, "8 and 12"),
        ("vit_micro", 8, {"patch": 3}, "6 and 9"),
        ("vit_huge", 224, {"patch": 16, "drop_path": 1.0}, "drop_path"),
        ("vit_micro", 8, {"drop_path": -0.1}, "drop_path"),
        ("vit_micro", 8, {"patch": -4}, "patch"),
        ("wrn_10_1", 8, {"bn_momentum": 0.0}, "bn_momentum"),
        ("timm", 32, {"model": "resnet19"}, "resnet18"),
        ("timm", 32, {"model": "zzzz"}, "no model 'zzzz'"),
    ],
)
def test_what_cannot_be_is_refused(name, size, chosen, says):
    with pytest.raises(UserError, match=says):
        registry.load("backbone", name)(Shape(size, CLASSES), **chosen)


def test_timm_patch_follows_the_image():
    assert make("timm", "vit_tiny_patch16_224", size=32).model.patch_embed.patch_size == (4, 4)
    assert make("timm", "vit_tiny_patch16_224", size=96).model.patch_embed.patch_size == (16, 16)
    assert make("timm", "vit_tiny_patch16_224", size=32, patch=8).model.patch_embed.patch_size == (8, 8)


def test_learning_rates_are_of_every_stage():
    assert learning_rates(1.0, 2.0, 3.0) == {"finetune.lr": 1.0, "semi.lr": 2.0, "control.lr": 3.0}
    assert learning_rates(1.0, 2.0)["control.lr"] is None, "that of the semi stage"
