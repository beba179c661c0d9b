"""Which precision `auto` is: decided by what processor and network are, never by a timing.

Precision is part of a stage's key, so the same command on the same machine has to come to the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sslkit import registry
from sslkit.config import Config
from sslkit.config.resolve import argument, options
from sslkit.network import Shape

UNITS = ("amx_bf16", "avx512_bf16", "bf16")  # for products of bf16, as torch calls them; the last one is ARM's
LARGE = 100_000  # weights of a layer; with fewer, casts cost more than the units save


def faster(config: Config, device: str) -> tuple[str, str]:
    """The precision that a network is trained faster in on a device, and why.

    bf16 on GPUs that have units for it, and on processors that have them for networks most of whose multiply-adds are
    in layers of at least 100,000 weights. On a processor with AMX a training step of ViT-S/16 at 224 px then took half
    of fp32's time, of ViT-Ti/4 and ResNet-18 three quarters; `vit_micro` and EfficientNet-Lite0, whose layers are
    smaller, were slower. Without such units bf16 takes 10 to 40 times as long.

    Args:
        device: "cpu", "cuda" or "mps".
    """
    if device == "cuda":
        # GPUs without bf16 units emulate it, slowly, and are said to support it: pytorch/pytorch#148322
        units = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16", "the GPU has units for it") if units else ("fp32", "the GPU has no units for bf16")
    if device == "mps":
        return "fp32", "bf16 was not tried on Apple GPUs"
    unit = next((name for name in UNITS if _capabilities().get(name)), None)
    if unit is None:
        return "fp32", "the processor has no units for bf16"
    share = large_share(config)
    return "bf16" if share > 0.5 else "fp32", f"{unit}, {share:.0%} of the multiply-adds are in large layers"


def _capabilities() -> Mapping[str, Any]:
    tell = getattr(torch.cpu, "get_capabilities", None)  # torch before 2.10 has none
    return tell() if tell else {}


def large_share(config: Config) -> float:
    """Share of a network's multiply-adds in linear layers and convolutions that the large ones among them have.

    A network that cannot be run without its data has none.
    """
    name, size = config.backbone.name, config.data.size
    assert size is not None, "of a configuration with its data"
    cls = registry.load("backbone", name)
    known = options(cls)
    chosen = {key: value for key, value in config.backbone.options.items() if key in known}
    counts: list[tuple[float, bool]] = []

    def count(layer: nn.Module, _: Any, out: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        counts.append((float(out.numel() * weight[0].numel()), weight.numel() >= LARGE))

    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        try:
            network = cls(Shape(size, 2), **chosen, **argument("backbone", name, cls)).eval()
            for layer in network.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    layer.register_forward_hook(count)
            network(torch.empty(1, 3, size, size))
        except (RuntimeError, NotImplementedError, ValueError, TypeError):  # what is wrong is said where it is trained
            return 0.0
    return sum(n for n, large in counts if large) / max(1.0, sum(n for n, _ in counts))
