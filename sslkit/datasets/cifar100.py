"""CIFAR-100: 50,000 + 10,000 photographs of 32 pixels in a hundred classes.

Paper: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images
"""

from sslkit.datasets.cifar10 import Cifar10
from sslkit.registry import register


@register("dataset")
class Cifar100(Cifar10):
    """The Python version, with the fine labels."""

    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    needs = ("cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta")
    published = "CIFAR100"
