"""A small branch beside each block's MLP trains, and the head.

Paper: Chen et al. 2022, AdaptFormer, arXiv:2205.13535

x + MLP(LN x) becomes x + MLP(LN x) + scale W_up drop(ReLU(W_down x)). As in the authors' code the branch is given the
residual stream before its LN, and neither LayerScale nor stochastic depth is put on it (V-PET's has both). W_down
starts as Kaiming uniform with a = sqrt(5), W_up and the biases as 0. Not theirs: no BatchNorm is put before the head.
"""

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from sslkit.adapter import Adapter, Inserted, inputs
from sslkit.algorithms.adapters._settings import FEW
from sslkit.errors import UserError
from sslkit.network import Classifier, Shape
from sslkit.registry import register

PLACES = ("norm2", "mlp", "drop_path2")  # what timm's blocks have: x + drop_path2(mlp(norm2(x)))


@register("adapter")
class AdaptFormer(Adapter):
    """Options:
    width: of the bottleneck; the authors' is 64, V-PET's 16.
    scale: of the branch.
    dropout: after the ReLU. With any, images that are rejected do not skip the student.
    """

    defaults = FEW

    def __init__(self, shape: Shape, *, width: int = 64, scale: float = 0.1, dropout: float = 0.1) -> None:
        super().__init__(shape)
        if width < 1:
            raise UserError(f"adapt.width must be 1 or more, got {width}")
        if not 0 <= dropout < 1:
            raise UserError(f"adapt.dropout must be in [0, 1), got {dropout}")
        self.width, self.scale, self.dropout = width, scale, dropout

    def insert(self, network: Classifier) -> Iterable[nn.Parameter]:
        works = "head, norm and bias work there"
        blocks: list[Any] = [
            m for m in network.modules() if all(isinstance(getattr(m, p, None), nn.Module) for p in PLACES)
        ]
        if not blocks:
            raise UserError(
                f"--adapt adaptformer stands beside a transformer's MLPs, and this network has none; {works}"
            )
        asked = inputs(network, [module for b in blocks for module in (b.norm2, b.mlp, b.drop_path2)], self.shape.size)
        order = {module: place for place, module in enumerate(asked)}
        if any(not order.get(b.norm2, 1e9) < order.get(b.mlp, -1) < order.get(b.drop_path2, -1) for b in blocks):
            raise UserError(
                f"--adapt adaptformer is for blocks that norm before their MLP, and this network's do not; {works}"
            )
        found: list[nn.Parameter] = []
        for block in blocks:
            block.adapter = Branch(asked[block.norm2], self.width, self.scale, self.dropout)
            block.norm2.register_forward_pre_hook(block.adapter.take)
            block.drop_path2.register_forward_hook(block.adapter.add)
            found += block.adapter.parameters()
        return found


class Branch(Inserted):
    """scale W_up drop(ReLU(W_down x)), with biases; x is what goes into the block's second norm.

    A block is not taken apart for it: what goes into the norm is taken there, and the branch is added where the MLP's
    result ends, behind its stochastic depth.
    """

    def __init__(self, dim: int, width: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, dim)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)
        self.scale, self.drop = scale, nn.Dropout(dropout) if dropout else nn.Identity()
        self.taken: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:  # (…, D) -> (…, D)
        changed: Tensor = self.scale * self.up(self.drop(F.relu(self.down(x))))
        return changed

    def take(self, norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        self.taken = given[0]

    def add(self, path: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x, self.taken = self.taken, None
        assert x is not None, "the norm comes first"
        changed: Tensor = output + self(x)
        return changed
