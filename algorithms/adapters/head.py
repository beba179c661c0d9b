"""The head alone trains: linear probing by gradient descent, with augmentation.

Paper: Alain and Bengio 2016, Understanding intermediate layers using linear classifier probes, arXiv:1610.01644
"""

from collections.abc import Iterable

from torch import nn

from sslkit.adapter import Adapter
from sslkit.algorithms.adapters._settings import FEW
from sslkit.network import Classifier
from sslkit.registry import register


@register("adapter")
class Head(Adapter):
    defaults = FEW

    def insert(self, network: Classifier) -> Iterable[nn.Parameter]:
        return ()
