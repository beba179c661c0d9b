"""LoRA against `peft` on a small vision transformer of timm: equal logits and gradients, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from sslkit import registry
from sslkit.adapter import adapt
from sslkit.network import Shape
from tests.backbones.make import CLASSES, images, make

pytestmark = pytest.mark.slow  # peft brings transformers
peft = pytest.importorskip("peft", reason="pip install 'sslkit[oracle]'")


@pytest.mark.parametrize(("rank", "alpha"), [(4, 4), (3, 7)])
def test_logits_and_gradients_are_those_of_peft(rank: int, alpha: int) -> None:
    network = make("timm", "test_vit", size=32)
    chosen = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=["qkv"], modules_to_save=["head"])
    theirs = peft.get_peft_model(copy.deepcopy(network.model), chosen).double()
    adapt(registry.load("adapter", "lora")(Shape(32, CLASSES), rank=rank, alpha=float(alpha)), network)
    network.double()
    generator = torch.Generator().manual_seed(1)
    pairs = {}
    for name, module in network.model.named_modules():
        if hasattr(module, "lora_a"):
            other = theirs.base_model.model.get_submodule(name)
            pairs[f"{name} A"] = module.lora_a, other.lora_A["default"].weight
            pairs[f"{name} B"] = module.lora_b, other.lora_B["default"].weight
    assert len(pairs) == 2 * len(network.model.blocks)
    for mine, other in pairs.values():
        with torch.no_grad():
            mine.copy_(torch.randn(mine.shape, generator=generator, dtype=torch.float64))
            other.copy_(mine)
    for name, parameter in network.model.head.named_parameters():
        pairs[f"head {name}"] = parameter, theirs.base_model.model.head.modules_to_save["default"].get_parameter(name)
    x, y = images(5, 32).double(), torch.arange(5)
    mine_out = network.model(x)
    their_out = theirs(x)
    torch.testing.assert_close(mine_out, their_out, rtol=1e-12, atol=1e-12)
    F.cross_entropy(mine_out, y).backward()
    F.cross_entropy(their_out, y).backward()
    for name, (mine, other) in pairs.items():
        assert mine.grad.any(), name
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-10, atol=1e-12, msg=name)
    learned = {id(p) for pair in pairs.values() for p in pair}
    assert {id(p) for p in network.parameters() if p.requires_grad} <= learned
    assert {id(p) for p in theirs.parameters() if p.requires_grad} <= learned
