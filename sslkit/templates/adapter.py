"""The last blocks train, and the head."""

from collections.abc import Iterable

from torch import nn

from sslkit import register
from sslkit.adapter import Adapter
from sslkit.errors import UserError
from sslkit.network import Classifier, Shape


@register("adapter")
class Mine(Adapter):
    """Options:
    blocks: how many of them, from the last one.
    """

    defaults = {"semi.lr": 3e-4}

    def __init__(self, shape: Shape, *, blocks: int = 1) -> None:
        super().__init__(shape)
        self.blocks = blocks

    def insert(self, network: Classifier) -> Iterable[nn.Parameter]:
        stack = network.stack()
        if not 0 < self.blocks <= len(stack):
            raise UserError(f"adapt.blocks must be from 1 to {len(stack)}, got {self.blocks}")
        return [parameter for block in stack[-self.blocks :] for parameter in block.parameters()]
