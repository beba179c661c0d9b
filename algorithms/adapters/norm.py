"""Scales and shifts of all normalisation layers train, and the head.

Paper: Frankle, Schwab and Morcos 2021, Training BatchNorm and Only BatchNorm, arXiv:2003.00152

A normalisation layer is one whose class is called so: LayerNorm, BatchNorm2d, RmsNorm, GroupNorm.
"""

from collections.abc import Iterable

from torch import nn

from sslkit.adapter import Adapter
from sslkit.algorithms.adapters._settings import FEW
from sslkit.network import Classifier
from sslkit.registry import register


@register("adapter")
class Norm(Adapter):
    defaults = FEW

    def insert(self, network: Classifier) -> Iterable[nn.Parameter]:
        norms = [module for module in network.modules() if "norm" in type(module).__name__.lower()]
        return [parameter for norm in norms for parameter in norm.parameters(recurse=False)]
