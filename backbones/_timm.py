"""timm's networks as `Classifier`s, sized for the image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import timm
from timm.models import VisionTransformer
from torch import Tensor, nn

from sslkit.errors import UserError
from sslkit.network import Classifier, Output, Shape


class TimmClassifier(Classifier):
    """Any timm model whose `forward_head(…, pre_logits=True)` gives (N, D) features for its classifier."""

    def __init__(self, model: nn.Module, feature_dim: int) -> None:
        super().__init__()
        self.model: Any = model
        self.feature_dim = feature_dim

    def forward(self, images: Tensor) -> Output:
        tokens = self.model.forward_features(images)
        features = self.model.forward_head(tokens, pre_logits=True)
        return Output(self.model.get_classifier()(features).float(), features.float())

    def no_weight_decay(self) -> set[str]:
        names: set[str] = getattr(self.model, "no_weight_decay", set)()
        return {f"model.{name}" for name in names} & dict(self.named_parameters()).keys()


@dataclass(frozen=True)
class Width:
    """Embedding dimension, blocks and heads of a ViT, and its patch on images above 64 px."""

    dim: int
    depth: int
    heads: int
    patch: int = 16


class ViT(TimmClassifier):
    """A pre-norm vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929), trained from scratch.

    Options:
        patch: side of a patch in pixels; None is 4 up to 64 px and the published one above.
        pool: "mean" of the patch tokens then LayerNorm (MAE, Semi-ViT B and L), or the class "token".
        drop_path: stochastic depth of the last block, rising linearly from 0.
    """

    width: ClassVar[Width]

    def __init__(
        self,
        shape: Shape,
        *,
        patch: int | None = None,
        pool: Literal["mean", "token"] = "mean",
        drop_path: float = 0.0,
    ) -> None:
        published = 4 if shape.size <= 64 else self.width.patch
        patch = checked_patch(shape.size, published if patch is None else patch)
        if not 0 <= drop_path < 1:
            raise UserError(f"backbone.drop_path must be in [0, 1), got {drop_path}")
        model = VisionTransformer(
            img_size=shape.size,
            patch_size=patch,
            num_classes=shape.classes,
            embed_dim=self.width.dim,
            depth=self.width.depth,
            num_heads=self.width.heads,
            drop_path_rate=drop_path,
            global_pool="avg" if pool == "mean" else "token",
        )
        super().__init__(model, self.width.dim)


def learning_rates(finetune: float, semi: float, control: float | None = None) -> Mapping[str, Any]:
    """Configuration defaults; without a rate of its own the control arm has that of the semi stage."""
    return {"finetune.lr": finetune, "semi.lr": semi, "control.lr": control}


def checked_patch(size: int, patch: int) -> int:
    """`patch`, where it divides the image.

    Raises:
        UserError: it does not; names the two nearest sizes that fit.
    """
    if patch < 1 or size % patch:
        low = max(patch, size // max(patch, 1) * patch)
        raise UserError(
            f"a patch of {patch} px does not divide images of {size} px; "
            f"nearest sizes that it divides: {low} and {low + patch} (--size), or set backbone.patch"
        )
    return patch


class ResNet(TimmClassifier):
    """timm's ResNet; up to 64 px the stem is one 3x3 convolution of stride 1 without pooling."""

    channels_last = True
    name: ClassVar[str]

    def __init__(self, shape: Shape, *, drop_path: float = 0.0) -> None:
        model = timm.create_model(self.name, num_classes=shape.classes, drop_path_rate=drop_path)
        if shape.size <= 64:
            wide = model.conv1.out_channels
            model.conv1 = nn.Conv2d(3, wide, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
            model.maxpool = nn.Identity()
        super().__init__(model, model.num_features)
