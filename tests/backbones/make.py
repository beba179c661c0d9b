"""Backbones as the tests make them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from sslkit import registry
from sslkit.backbones._timm import ConvNeXt, ViT
from sslkit.backbones._wrn import WideResNet
from sslkit.network import Classifier, Shape
from sslkit.randomness import seeded

CLASSES = 7
NAMES = [entry.name for entry in registry.entries("backbone") if entry.origin == "built in"]
LARGE = 150  # a ViT wider than this is tested with two blocks


def twin(cls: type[Classifier]) -> type[Classifier]:
    """The class, or one of fewer and narrower blocks where a network of it is large."""
    if issubclass(cls, ViT) and cls.width.dim > LARGE:
        return type(cls.__name__, (cls,), {"width": replace(cls.width, depth=2)})
    if issubclass(cls, ConvNeXt):
        return type(cls.__name__, (cls,), {"name": "test_convnext"})
    if issubclass(cls, WideResNet) and cls.factor > 2:
        return type(cls.__name__, (cls,), {"depth": 10, "factor": 2})
    return cls


def make(name: str, model: str = "", size: int = 8, seed: int = 0, **chosen: object) -> Any:
    """A `Classifier`; what else it has, each test knows of the one that it named."""
    cls: type = twin(registry.load("backbone", name))
    seeded("backbone", seed)
    return cls(Shape(size, CLASSES), **({"model": model} if model else {}), **chosen)


def images(n: int, size: int = 8) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))
