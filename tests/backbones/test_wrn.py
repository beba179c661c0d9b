"""What docs/recipes.md says of wide ResNets beside google-research/fixmatch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sslkit import registry
from sslkit.network import Classifier, Shape


def wide(name: str) -> Classifier:
    torch.manual_seed(0)
    network: Classifier = registry.load("backbone", name)(Shape(16, 5))
    return network


def test_a_bias_of_any_convolution_changes_nothing_where_batch_statistics_are_used() -> None:
    network = wide("wrn_10_1").double().train()
    images = torch.randn(6, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = network(images).logits
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.bias = nn.Parameter(torch.randn(module.out_channels, dtype=torch.float64))
        assert (network(images).logits - before).abs().max() < 1e-5
        network.norm.bias += 1.0  # of what no BatchNorm follows
        assert (network(images).logits - before).abs().max() > 0.1


def test_eps_biases_and_initial_weights_are_the_stated_ones() -> None:
    network = wide("wrn_28_2")
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [m.eps for m in norms] == [1e-5] * (len(norms) - 1) + [1e-3]
    assert [m.bias is not None for m in convolutions] == [True] + [False] * (len(convolutions) - 1)
    last = convolutions[-1]
    fan_out = last.out_channels * 9
    assert last.weight.std().item() == pytest.approx((2 / fan_out / 1.01) ** 0.5, rel=0.01)
