"""Wide ResNets against the same network written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import registry
from sslkit.network import Shape


def norm(x: Tensor, state: dict[str, Tensor], name: str, eps: float = 1e-5) -> Tensor:
    """BatchNorm by batch statistics."""
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
    weight, bias = (state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
    return (x - mean) / (variance + eps).sqrt() * weight + bias


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.1 * x)


def written_out(x: Tensor, state: dict[str, Tensor], blocks_per_group: int) -> Tensor:
    """Logits: pre-activation blocks in three groups; the second and the third halve the grid."""
    x = F.conv2d(x, state["stem.weight"], state["stem.bias"], padding=1)
    for i in range(3 * blocks_per_group):
        name = f"blocks.{i}"
        stride = 2 if i in (blocks_per_group, 2 * blocks_per_group) else 1
        active = leaky(norm(x, state, f"{name}.norm1"))
        y = F.conv2d(active, state[f"{name}.conv1.weight"], stride=stride, padding=1)
        y = F.conv2d(leaky(norm(y, state, f"{name}.norm2")), state[f"{name}.conv2.weight"], padding=1)
        shortcut = active if i == 0 else x
        if f"{name}.shortcut.weight" in state:
            shortcut = F.conv2d(shortcut, state[f"{name}.shortcut.weight"], stride=stride)
        x = y + shortcut
    x = leaky(norm(x, state, "norm", eps=1e-3)).mean((2, 3))
    return x @ state["head.weight"].T + state["head.bias"]


def parameters(depth: int, factor: int, classes: int) -> int:
    """Counted from the widths."""
    widths = [16, 16 * factor, 32 * factor, 64 * factor]
    total = 3 * 9 * 16 + 16
    for group in range(3):
        for i in range((depth - 4) // 6):
            wide_in, wide = widths[group + 1] if i else widths[group], widths[group + 1]
            total += 2 * wide_in + 9 * wide_in * wide + 2 * wide + 9 * wide * wide
            total += wide_in * wide if wide_in != wide else 0
    return total + 2 * widths[3] + widths[3] * classes + classes


@pytest.mark.parametrize(("name", "depth", "factor"), [("wrn_10_1", 10, 1), ("wrn_28_2", 28, 2)])
def test_wrn_is_the_network_written_out(name, depth, factor):
    torch.manual_seed(0)
    network = registry.load("backbone", name)(Shape(16, 10)).double().train()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p), alpha=0.05)
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    found = network(x).logits
    torch.testing.assert_close(
        found.double(), written_out(x, network.state_dict(), (depth - 4) // 6), rtol=1e-5, atol=1e-5
    )
    assert sum(p.numel() for p in network.parameters()) == parameters(depth, factor, 10)
    assert network.feature_dim == 64 * factor


def test_published_numbers_of_parameters():
    """WRN-28-2 with 10 classes 1.5M, WRN-28-8 with 100 classes 23.4M, in FixMatch's code and others'."""
    assert parameters(28, 2, 10) == 1_467_626
    assert parameters(28, 8, 100) == 23_401_028
    with torch.device("meta"):
        network = registry.load("backbone", "wrn_28_8")(Shape(224, 1000))
        assert network(torch.empty(2, 3, 224, 224)).logits.shape == (2, 1000)
    assert sum(p.numel() for p in network.parameters()) == parameters(28, 8, 1000)


@pytest.mark.parametrize("momentum", [0.1, 0.001])
def test_momentum_is_that_of_every_norm(momentum):
    network = registry.load("backbone", "wrn_10_1")(Shape(8, 10), bn_momentum=momentum)
    assert {m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {momentum}


def test_weights_start_as_published():
    """Kaiming normal by the outputs of a LeakyReLU convolution, Xavier normal for the head, biases of it at zero."""
    torch.manual_seed(0)
    network = registry.load("backbone", "wrn_28_2")(Shape(32, 10))
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 5000:
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx((2 / 1.01 / fan_out) ** 0.5, rel=0.05)
    assert network.head.weight.std().item() == pytest.approx((2 / (128 + 10)) ** 0.5, rel=0.1)
    assert not network.head.bias.any()


def test_a_bias_of_any_convolution_changes_nothing_where_batch_statistics_are_used():
    """So that google-research/fixmatch, which has them all, trains the same network in this respect."""
    torch.manual_seed(0)
    network = registry.load("backbone", "wrn_10_1")(Shape(16, 5)).double().train()
    x = torch.randn(6, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        before = network(x).logits
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.bias = nn.Parameter(torch.randn(module.out_channels, dtype=torch.float64))
        assert (network(x).logits - before).abs().max() < 1e-5
        network.norm.bias += 1.0  # of what no BatchNorm follows
        assert (network(x).logits - before).abs().max() > 0.1
