"""All biases train, and the head (BitFit).

Paper: Ben Zaken, Goldberg and Ravfogel 2022, BitFit, arXiv:2106.10199
"""

from collections.abc import Iterable

from torch import nn

from sslkit.adapter import Adapter
from sslkit.algorithms.adapters._settings import FEW
from sslkit.network import Classifier
from sslkit.registry import register


@register("adapter")
class Bias(Adapter):
    defaults = FEW

    def insert(self, network: Classifier) -> Iterable[nn.Parameter]:
        return [parameter for name, parameter in network.named_parameters() if name.endswith("bias")]
