"""What an adapter changes of a network, and what it leaves: the maths in float64 NumPy, what trains, what is merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sslkit import registry
from sslkit.adapter import adapt, merged
from sslkit.average import Average
from sslkit.errors import UserError
from sslkit.network import Classifier, Shape
from sslkit.training.optim import optimizer
from tests.backbones.make import CLASSES, images, make

NAMES = ["head", "norm", "bias", "lora", "adaptformer"]
INSERTS = ["lora", "adaptformer"]
# plain, with a mean of patches; with a class token; LayerScale, registers; pooled by attention
VITS = {name: ("timm", name, 32) for name in ("test_vit", "test_vit2", "test_vit3")} | {
    "vit_micro": ("vit_micro", "", 8)
}
# as their weights are published: patch 14; rotary positions; windows and stages
LARGE = {
    "dinov2": ("timm", "vit_small_patch14_reg4_dinov2", 28),
    "dinov3": ("timm", "vit_small_patch16_dinov3", 32),
    "swin": ("timm", "swin_tiny_patch4_window7_224", 32),
}
EVERY_VIT = [*VITS, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]
CNNS = {"wrn": ("wrn_10_1", "", 8), "resnet": ("timm", "test_resnet", 32), "convnext": ("timm", "test_convnext", 32)}
TRAINING = {"weight_decay": 0.3, "lr": 1e-3, "optimizer": "adamw", "layer_decay": 0.5, "beta2": 0.999}


def network_of(kind: str) -> Any:
    name, model, size = (VITS | LARGE | CNNS)[kind]
    return make(name, model, size=size)


def size_of(kind: str) -> int:
    return (VITS | LARGE | CNNS)[kind][2]


def adapted(kind: str, name: str, **options: Any) -> Any:
    network = network_of(kind)
    adapt(registry.load("adapter", name)(Shape(size_of(kind), CLASSES), **options), network)
    return network


def stirred(network: Classifier) -> Any:
    """With other values of all that trains."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return network


def double(tensor: torch.Tensor) -> np.ndarray:
    found: np.ndarray = tensor.detach().double().numpy()
    return found


# What trains, and what does not.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [*EVERY_VIT, *CNNS])
def test_the_first_output_is_that_of_the_frozen_network_to_the_bit(kind: str, name: str) -> None:
    if kind in CNNS and name in INSERTS:
        return
    plain, made = network_of(kind).eval(), adapted(kind, name).eval()
    x = images(3, size_of(kind))
    with torch.no_grad():
        assert torch.equal(plain(x).logits, made(x).logits)
    theirs = dict(plain.named_parameters())
    assert made.frozen < theirs.keys(), "what is frozen has its name"
    assert all(torch.equal(p, theirs[n]) for n, p in made.named_parameters() if n in theirs)


def test_which_tensors_train() -> None:
    blocks = range(4)
    head = {"model.head.weight", "model.head.bias"}
    norms = {f"model.blocks.{i}.norm{k}.{w}" for i in blocks for k in (1, 2) for w in ("weight", "bias")}
    layers = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2")
    biases = {f"model.blocks.{i}.{layer}.bias" for i in blocks for layer in layers}
    expected = {
        "head": head,
        "norm": head | norms | {"model.fc_norm.weight", "model.fc_norm.bias"},
        "bias": head | biases | {"model.fc_norm.bias", "model.patch_embed.proj.bias"},
        "lora": head | {f"model.blocks.{i}.attn.qkv.lora_{m}" for i in blocks for m in "ab"},
        "adaptformer": head
        | {f"model.blocks.{i}.adapter.{m}.{w}" for i in blocks for m in ("down", "up") for w in ("weight", "bias")},
    }
    for name, trained in expected.items():
        network = adapted("vit_micro", name)
        assert {n for n, p in network.named_parameters() if p.requires_grad} == trained
        assert network.frozen == {n for n, _ in network.named_parameters()} - trained


def test_sizes_are_those_of_the_page() -> None:
    """LoRA of rank r on D dimensions: r D + 3 D r a block; AdaptFormer of width h: 2 D h + h + D."""
    dim, depth, head = 128, 4, 128 * CLASSES + CLASSES
    count: Callable[[Any], int] = lambda network: sum(p.numel() for p in network.parameters() if p.requires_grad)  # noqa: E731
    assert count(adapted("vit_micro", "lora")) == depth * (4 * dim + 3 * dim * 4) + head
    assert count(adapted("vit_micro", "adaptformer", width=16)) == depth * (2 * dim * 16 + 16 + dim) + head
    assert 12 * (4 * 768 + 3 * 768 * 4) == 147_456  # ViT-B


@pytest.mark.parametrize("name", NAMES)
def test_steps_move_what_trains_and_nothing_else(name: str) -> None:
    network = adapted("vit_micro", name)
    average = Average(network, 0.5)
    before = {n: p.clone() for n, p in network.named_parameters()}
    chosen = optimizer(network, network, TRAINING)
    for _ in range(3):
        network(images(4)).logits.square().sum().backward()
        chosen.step()
        chosen.zero_grad()
        average.update(network)
    moved = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert moved == before.keys() - network.frozen
    held = [p for group in chosen.param_groups for p in group["params"]]
    assert len(held) == len(moved)
    assert {id(p) for p in held} == {id(p) for n, p in network.named_parameters() if n in moved}
    for (n, mine), theirs in zip(average.network.named_parameters(), network.parameters(), strict=True):
        assert (mine is theirs) == (n in network.frozen), n
        assert torch.equal(mine, before[n]) == (n in network.frozen)


def test_two_averages_share_what_is_frozen_and_nothing_else() -> None:
    network = adapted("vit_micro", "adaptformer")
    one, other = Average(network, 0.5).network, Average(network.twin(), 0.9).network
    places = [{p.data_ptr() for n, p in net.named_parameters() if n not in net.frozen} for net in (network, one, other)]
    assert not places[0] & places[1] and not places[1] & places[2]  # noqa: PT018
    assert all(a is b for a, b in zip(network.parameters(), other.parameters(), strict=True) if not a.requires_grad)
    stirred(network)
    with torch.no_grad():
        logits = one.eval()(images(2)).logits
    assert torch.equal(logits, network_of("vit_micro").eval()(images(2)).logits), "its branch is its own, hooks and all"


def test_layer_decay_reaches_what_was_put_in() -> None:
    network = adapted("vit_micro", "lora")
    scale = {id(p): g["scale"] for g in optimizer(network, network, TRAINING).param_groups for p in g["params"]}
    parameters = dict(network.named_parameters())
    for block in range(4):
        assert scale[id(parameters[f"model.blocks.{block}.attn.qkv.lora_a"])] == 0.5 ** (4 - block)
    assert scale[id(parameters["model.head.weight"])] == 1


# The maths.


def test_lora_in_numpy() -> None:
    """y = W x + b + (alpha / r) B A x; of a loss with gradient g: dA = s (g B)^T x, dB = s g^T (x A^T)."""
    network = stirred(adapted("vit_micro", "lora", rank=3, alpha=7.0)).double()
    low = network.model.blocks[1].attn.qkv
    w, b, a, up = (double(t) for t in (low.weight, low.bias, low.lora_a, low.lora_b))
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(5, 128)), rng.normal(size=(5, 384))
    y = low(torch.from_numpy(x))
    np.testing.assert_allclose(double(y), x @ w.T + b + 7 / 3 * (x @ a.T) @ up.T, atol=1e-12)
    y.backward(torch.from_numpy(g))
    np.testing.assert_allclose(low.lora_a.grad, 7 / 3 * (g @ up).T @ x, atol=1e-11)
    np.testing.assert_allclose(low.lora_b.grad, 7 / 3 * g.T @ (x @ a.T), atol=1e-11)
    assert low.weight.grad is None


def test_lora_starts_as_published() -> None:
    """Kaiming uniform with a = sqrt(5) is uniform within 1 / sqrt(in); B is 0; alpha is the rank."""
    low = adapted("vit_micro", "lora", rank=16).model.blocks[0].attn.qkv
    bound = 1 / np.sqrt(128)
    assert bound * 0.98 < low.lora_a.abs().max() <= bound
    assert abs(float(low.lora_a.detach().std()) * np.sqrt(3) / bound - 1) < 0.05
    assert not low.lora_b.any()
    assert low.scale == 1


def test_adaptformer_in_numpy() -> None:
    """x + gamma MLP(LN x) + s (W_up ReLU(W_down x + b) + b'), on the residual stream; no LayerScale on the branch."""
    network = stirred(adapted("test_vit2", "adaptformer", width=5, scale=0.3)).double().eval()
    block = network.model.blocks[2]
    seen: dict[str, torch.Tensor] = {}
    block.norm2.register_forward_pre_hook(lambda _, given: seen.update(x=given[0]))
    block.mlp.register_forward_hook(lambda _, given, out: seen.update(mlp=out))
    block.register_forward_hook(lambda _, given, out: seen.update(out=out))
    network(images(2, 32).double())
    x, mlp, gamma = double(seen["x"]), double(seen["mlp"]), double(block.ls2.gamma)
    down, up = block.adapter.down, block.adapter.up
    hidden = np.maximum(0, x @ double(down.weight).T + double(down.bias))
    branch = hidden @ double(up.weight).T + double(up.bias)
    assert np.abs(branch).max() > 0.01
    np.testing.assert_allclose(double(seen["out"]), x + gamma * mlp + 0.3 * branch, atol=1e-12)


@pytest.mark.parametrize("name", INSERTS)
def test_dropout_is_of_training_alone(name: str) -> None:
    network = stirred(adapted("vit_micro", name, dropout=0.5))
    x = images(2)
    torch.manual_seed(0)
    with torch.no_grad():
        assert torch.equal(network.eval()(x).logits, network.eval()(x).logits)
        assert not torch.equal(network.train()(x).logits, network.train()(x).logits)


@pytest.mark.parametrize("kind", EVERY_VIT)
def test_merged_weights_give_the_same_logits(kind: str) -> None:
    network = stirred(adapted(kind, "lora", alpha=3.0)).eval()
    x = images(3, size_of(kind))
    before = {n: p.clone() for n, p in network.named_parameters()}
    plain = merged(network).eval()
    with torch.no_grad():
        mine, theirs = network(x).logits, plain(x).logits
        start = network_of(kind).eval()(x).logits
    assert float((mine - theirs).abs().max()) < 1e-5 * float(mine.abs().max().clamp(min=1))
    assert float((mine - start).abs().max()) > 1e-2
    assert plain.state_dict().keys() == network_of(kind).state_dict().keys()
    assert all(torch.equal(p, before[n]) for n, p in network.named_parameters()), "nothing is merged in place"


# What does not fit.


@pytest.mark.parametrize("name", INSERTS)
@pytest.mark.parametrize("kind", CNNS)
def test_a_convolutional_network_is_told_what_works_there(kind: str, name: str) -> None:
    with pytest.raises(UserError, match=f"--adapt {name} .* head, norm and bias work there"):
        adapted(kind, name)


def test_networks_that_take_weights_past_their_layers_are_refused() -> None:
    network = make("timm", "eva02_tiny_patch14_224", size=28)
    lora = registry.load("adapter", "lora")(Shape(28, CLASSES))
    with pytest.raises(UserError, match="passes its linear maps by; adaptformer, head, norm and bias work"):
        adapt(lora, network)
    assert not network.frozen


def test_blocks_that_norm_after_their_mlp_are_refused() -> None:
    network = make("timm", "vit_relpos_small_patch16_rpn_224", size=32)
    with pytest.raises(UserError, match="blocks that norm before their MLP"):
        adapt(registry.load("adapter", "adaptformer")(Shape(32, CLASSES)), network)


@pytest.mark.parametrize(
    ("name", "option", "words"),
    [
        ("lora", {"rank": 0}, r"adapt\.rank must be 1 or more, got 0"),
        ("lora", {"rank": 200}, r"adapt\.rank=200 is more than the 128"),
        ("lora", {"dropout": 1.0}, r"adapt\.dropout must be in \[0, 1\), got 1\.0"),
        ("adaptformer", {"width": 0}, r"adapt\.width must be 1 or more, got 0"),
        ("adaptformer", {"dropout": -0.1}, r"adapt\.dropout must be in"),
    ],
)
def test_options_that_cannot_be(name: str, option: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        adapted("vit_micro", name, **option)


def test_a_network_whose_head_is_not_found_is_refused() -> None:
    network = network_of("vit_micro")
    network.model.head = torch.nn.Sequential(network.model.head)
    with pytest.raises(UserError, match="no linear layer called head, fc, classifier"):
        adapt(registry.load("adapter", "head")(Shape(8, CLASSES)), network)
