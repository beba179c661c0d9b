"""What holds for every backbone, at 8 px, and the sizes of the large ones."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from sslkit import registry
from sslkit.backbones._timm import learning_rates
from sslkit.config.resolve import options
from sslkit.conformance.guard import no_sync
from sslkit.errors import UserError
from sslkit.network import Output, Shape
from sslkit.training.optim import optimizer

from .make import CLASSES, NAMES, images, make

EXAMPLES = {"timm": ("test_vit", "test_resnet", "test_efficientnet", "test_convnext", "vit_tiny_patch16_224")}
CASES = [(name, model) for name in NAMES for model in EXAMPLES.get(name, ("",))]


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
    training = {"weight_decay": 0.3, "lr": 1e-3, "optimizer": "adamw", "layer_decay": 1.0, "beta2": 0.999}
    groups = optimizer(network, network, training).param_groups
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
    for parameter, p in network.named_parameters():
        if parameter.endswith(("bn2.weight", "bn3.weight", "gamma")):
            nn.init.ones_(p)  # what scales a residual branch starts at or near zero
    x = images(8)
    torch.manual_seed(0)
    for training in (False, True):
        network.train(training)
        assert torch.allclose(network(x).logits, network(x).logits) != training


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("vit_tiny", 5.6, 5.8), ("vit_small", 22.0, 22.1), ("vit_base", 86, 87), ("vit_large", 303, 307),
     ("vit_huge", 631, 633), ("resnet18", 11.6, 11.8), ("resnet50", 25.5, 25.6), ("convnext_tiny", 28.5, 28.7),
     ("convnext_small", 50.1, 50.3), ("efficientnet_lite0", 4.6, 4.7), ("efficientnet_lite1", 5.4, 5.5),
     ("efficientnet_lite2", 6.0, 6.1)],
)  # fmt: skip
def test_published_numbers_of_parameters(name, low, high):
    """Of ImageNet networks: 224 px, 1000 classes; all parameters, trained or not, no buffers."""
    with torch.device("meta"):
        network = registry.load("backbone", name)(Shape(224, 1000))
    assert low < sum(p.numel() for p in network.parameters()) / 1e6 < high


@pytest.mark.parametrize(
    ("name", "theirs"),
    [(name, name) for name in ("resnet18", "resnet50", "convnext_tiny", "convnext_small")]
    + [(f"vit_{name}", f"vit_{name}_patch16_224") for name in ("tiny", "small", "base", "large")]
    + [("vit_huge", "vit_huge_patch14_224")]
    + [(f"efficientnet_lite{k}", f"tf_efficientnet_lite{k}") for k in range(3)],
)
def test_timm_has_as_many_parameters(name, theirs):
    with torch.device("meta"):
        network = registry.load("backbone", name)(Shape(224, 1000))
        other = timm.create_model(theirs, num_classes=1000)
        assert network(torch.empty(2, 3, 224, 224)).logits.shape == (2, 1000)
    assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in other.parameters())


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny"])
def test_small_images_get_a_small_stem(name):
    for size, side in ((8, 1), (32, 4), (64, 8), (96, 3), (224, 7)):
        network = make(name, size=size).eval()
        assert network.model.forward_features(images(1, size)).shape[-1] == side


def test_small_convnext_tells_grey_levels_apart():
    """The norm behind a stem of 1x1 would make all of them alike, borders included."""
    network = make("convnext_tiny", size=16).eval()
    levels = torch.tensor([0.5, 1.0])[:, None, None, None].expand(2, 3, 16, 16).clone()
    levels[:, :, 4:12, 4:12] = 0.1
    dark, bright = network.model.stem(levels)
    assert (dark - bright).abs().amax() > 0.1


def test_convnext_is_the_published_one():
    for name, depths in (("convnext_tiny", (3, 3, 9, 3)), ("convnext_small", (3, 3, 27, 3))):
        with torch.device("meta"):
            model = registry.load("backbone", name)(Shape(32, 10)).model
        assert tuple(len(stage.blocks) for stage in model.stages) == depths
        assert [stage.blocks[0].conv_dw.weight.shape for stage in model.stages] == [
            (wide, 1, 7, 7) for wide in (96, 192, 384, 768)
        ]
        assert model.stem[0].weight.shape == (96, 3, 3, 3)


@pytest.mark.parametrize(
    ("name", "size", "chosen", "says"),
    [
        ("vit_micro", 10, {}, "8 and 12"),
        ("vit_micro", 8, {"patch": 3}, "6 and 9"),
        ("vit_huge", 224, {"patch": 16, "drop_path": 1.0}, "drop_path"),
        ("vit_micro", 8, {"drop_path": -0.1}, "drop_path"),
        ("resnet18", 8, {"drop_path": 1.0}, "drop_path"),
        ("convnext_tiny", 8, {"drop_path": -0.1}, "drop_path"),
        ("vit_micro", 8, {"head_std": -1.0}, "head_std"),
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
