"""CIFAR-10: 50,000 + 10,000 photographs of 32 pixels in ten classes.

Paper: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images
"""

from typing import Any

import numpy as np

from sslkit.data import Raw
from sslkit.datasets._torchvision import TorchvisionSet
from sslkit.registry import register


@register("dataset")
class Cifar10(TorchvisionSet):
    """The Python version, in the order of its batches."""

    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    needs = tuple(
        f"cifar-10-batches-py/{name}"
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
    )
    published = "CIFAR10"

    def read(self) -> tuple[list[str], Raw, Raw]:
        train, test = (self.open(self.published, train=part) for part in (True, False))
        return list(train.classes), _raw(train), _raw(test)


def _raw(part: Any) -> Raw:
    return Raw(part.data, np.array(part.targets, np.int64))
