"""Low-rank changes of the attention's query, key and value maps train, and the head.

Paper: Hu et al. 2022, LoRA, arXiv:2106.09685; V-PET, arXiv:2503.09707

W x becomes W x + (alpha / rank) B A x. As in V-PET the one map that makes query, key and value has one A (rank, D) and
one B (3 D, rank); the attention's output map is left alone. A starts as the authors' (Kaiming uniform, a = sqrt(5)), B
as 0.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslkit.adapter import Adapter, Inserted, inputs
from sslkit.algorithms.adapters._settings import FEW
from sslkit.errors import UserError
from sslkit.network import Classifier, Shape
from sslkit.registry import register

MAPS = ("qkv", "q_proj", "k_proj", "v_proj")  # timm's names of the linear maps of attention's input


@register("adapter")
class LoRA(Adapter):
    """Options:
    rank: rows of A.
    alpha: the change is scaled by alpha / rank; None is the rank, as in V-PET: a scale of 1.
    dropout: of what A is given. With any, images that are rejected do not skip the student.
    """

    defaults = FEW

    def __init__(self, shape: Shape, *, rank: int = 4, alpha: float | None = None, dropout: float = 0.0) -> None:
        super().__init__(shape)
        if rank < 1:
            raise UserError(f"adapt.rank must be 1 or more, got {rank}")
        if not 0 <= dropout < 1:
            raise UserError(f"adapt.dropout must be in [0, 1), got {dropout}")
        self.rank, self.scale, self.dropout = rank, 1.0 if alpha is None else alpha / rank, dropout

    def insert(self, network: Classifier) -> Iterable[nn.Parameter]:
        maps = {n: m for n, m in network.named_modules() if n.rpartition(".")[2] in MAPS and isinstance(m, nn.Linear)}
        if not maps:
            raise UserError(
                f"--adapt lora changes attention, and this network has no linear map called {', '.join(MAPS)}; "
                "head, norm and bias work there"
            )
        if len(inputs(network, maps.values(), self.shape.size)) < len(maps):
            raise UserError(
                "--adapt lora: this network passes its linear maps by; adaptformer, head, norm and bias work"
            )
        if self.rank > min(min(m.weight.shape) for m in maps.values()):
            raise UserError(f"adapt.rank={self.rank} is more than the {min(m.in_features for m in maps.values())} of W")
        found: list[nn.Parameter] = []
        for place, linear in maps.items():
            low = LowRank(linear, self.rank, self.scale, self.dropout)
            parent, _, own = place.rpartition(".")
            setattr(network.get_submodule(parent), own, low)
            found += [low.lora_a, low.lora_b]
        return found


class LowRank(nn.Linear, Inserted):
    """W x + b + scale B A drop(x); W and b are the given layer's own.

    Args:
        linear: the layer whose place it takes.
        rank: of B A.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float, dropout: float) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.lora_a = nn.Parameter(torch.empty(rank, linear.in_features))
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        self.scale, self.drop = scale, nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:  # (…, in) -> (…, out)
        return super().forward(x) + self.scale * F.linear(F.linear(self.drop(x), self.lora_a), self.lora_b)

    def merged(self) -> nn.Module:
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        change = self.scale * (self.lora_b.detach().double() @ self.lora_a.detach().double())
        plain.weight = nn.Parameter((self.weight.double() + change).to(self.weight.dtype), requires_grad=False)
        plain.bias = self.bias
        return plain
