"""What makes forwards of a frozen network fast changes no feature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sslkit.training.frozen_forward import folded, in_order
from tests.training.frozen import SIZE, Odd, network_of


@pytest.mark.parametrize(
    ("order", "folds"),
    [
        (lambda m, x: m.norm(m.conv(x)), True),
        (lambda m, x: m.norm(m.conv(x).relu()), False),  # what it returned is not what the norm is given
        (lambda m, x: m.norm(y := m.conv(x)) + y, False),  # the residual is of the convolution alone
        (lambda m, x: m.norm(m.conv(x)) + m.conv(x), False),
        (lambda m, x: m.norm(m.conv(x)) * m.norm.weight.mean(), False),  # it looks into the norm
    ],
)
def test_norms_are_folded_only_where_the_features_stay(order: Callable[[Any, Tensor], Tensor], folds: bool) -> None:
    made, images = Odd(order).eval(), torch.rand(2, 3, 8, 8)
    found = folded(made, images)
    assert (found is not made) == folds
    assert any(isinstance(m, nn.BatchNorm2d) for m in found.modules()) != folds
    with torch.no_grad():
        assert torch.allclose(found(images).features, made(images).features, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "wrn_28_2", "efficientnet_lite0"])
def test_most_norms_of_shipped_networks_are_folded(name: str) -> None:
    made = network_of(name)
    both = (made, folded(made, torch.rand(2, 3, SIZE, SIZE)))
    left = [sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) for network in both]
    assert left[1] <= left[0] * (0.6 if name.startswith("wrn") else 0), left  # a wide ResNet norms sums, too


def test_no_more_is_begun_than_is_asked_for() -> None:
    begun = []

    def items() -> Any:
        for i in range(40):
            begun.append(i)
            yield i

    before = torch.get_num_threads()
    made = in_order(lambda i: i * i, items(), 2)
    try:
        assert next(made) == 0
        assert len(begun) <= 6
        assert [*made] == [i * i for i in range(1, 40)]
    finally:
        torch.set_num_threads(before)
