"""Networks: what a backbone is made for, what it is, and what it returns.

Letters in shapes: N images, C classes, D features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn


@dataclass(frozen=True)
class Output:
    """What a `Classifier` returns, float32."""

    logits: Tensor  # (N, C)
    features: Tensor  # (N, D), pooled, what the head sees

    @property
    def p(self) -> Tensor:
        """(N, C), rows sum to 1."""
        return self.logits.softmax(1)

    def detach(self) -> Output:
        return Output(self.logits.detach(), self.features.detach())


@dataclass(frozen=True)
class Shape:
    """What a backbone is made for."""

    size: int  # side of the square images, in pixels
    classes: int


class Classifier(nn.Module, ABC):
    """A network for images (N, 3, H, W). A backbone is a subclass made as `Backbone(shape, **options)`."""

    feature_dim: int  # D
    channels_last: ClassVar[bool] = False
    defaults: ClassVar[Mapping[str, Any]] = {}  # configuration keys this network wants set otherwise

    @abstractmethod
    def forward(self, images: Tensor) -> Output: ...

    def __call__(self, images: Tensor) -> Output:  # nn.Module's own returns Any, and typing would end there
        output: Output = super().__call__(images)
        return output

    def no_weight_decay(self) -> set[str]:
        """Names of parameters of two or more dimensions that are not decayed: tokens, position embeddings."""
        return set()
