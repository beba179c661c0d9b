"""Networks and images to test the feature pass with."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sslkit import registry
from sslkit.augment.render import normalise
from sslkit.data import Images
from sslkit.data.image import Array, Square
from sslkit.data.on_demand import OnDemand
from sslkit.data.stored import Stored
from sslkit.network import Classifier, Output, Shape
from sslkit.training.spec import Spec

N, SIZE = 70, 32
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def specification(name: str = "vit_micro", size: int = SIZE, **changed: Any) -> Spec:
    parts = {"backbone": {"name": name, "options": {}, "source": "s"}}
    data = {"fingerprint": "f", "size": size, "classes": ["a", "b"], "mean": list(MEAN), "std": list(STD)}
    return replace(Spec("semi", "", parts, {}, {}, {}, data, 0, "cpu", "fp32", 2), **changed)


def network_of(name: str = "vit_micro", size: int = SIZE, seed: int = 0) -> Classifier:
    """A network as training leaves it: with statistics of its own in every BatchNorm."""
    torch.manual_seed(seed)
    made: Classifier = registry.load("backbone", name)(Shape(size, 2))
    made = made.to(memory_format=torch.channels_last if made.channels_last else torch.contiguous_format)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean, module.running_var = torch.randn(n := module.num_features) / 10, torch.rand(n) + 0.5
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return made.eval()


def pictures(n: int = N, size: int = SIZE) -> Images:
    pixels = np.random.default_rng(n).integers(0, 256, (n, 3, size, size), np.uint8)
    return Images(pixels, np.zeros(n, np.int64), n, ["a", "b"], "f", [str(i) for i in range(n)])


def on_demand(images: Images) -> Images:
    """The same ones as PNG files, decoded when they are needed."""
    files = []
    for picture in np.asarray(images.pixels):
        file = io.BytesIO()
        Image.fromarray(picture.transpose(1, 2, 0)).save(file, "PNG")
        files.append(file.getvalue())
    stored = Stored(files.__getitem__, images.names, Square(images.size))
    return replace(images, pixels=OnDemand(stored, np.arange(len(files)), False, ThreadPoolExecutor(2)))


@torch.no_grad()
def expected(network: Classifier, images: Images, index: Array) -> Tensor:
    """One image at a time."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    pixels = torch.from_numpy(np.asarray(images.pixels)[index])
    return torch.cat([network(normalise(one[None], mean, std)).features for one in pixels])


class Odd(Classifier):
    """A convolution and a norm, as `order` uses them."""

    def __init__(self, order: Callable[[Odd, Tensor], Tensor]) -> None:
        super().__init__()
        self.feature_dim, self.order = 4, order
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)
        self.norm.running_var = torch.full((4,), 3.0)

    def forward(self, images: Tensor) -> Output:
        features = self.order(self, images).mean((2, 3))
        return Output(self.head(features), features)
