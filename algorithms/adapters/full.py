"""All weights train: no adapter."""

from collections.abc import Iterable

from torch import nn

from sslkit.adapter import Adapter
from sslkit.network import Classifier
from sslkit.registry import register


@register("adapter")
class Full(Adapter):
    def insert(self, network: Classifier) -> Iterable[nn.Parameter]:
        return network.parameters()
