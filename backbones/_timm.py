"""timm's networks as `Classifier`s, sized for the image.

No weights are fetched here, and up to 64 px the stem is not the published one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sslkit.errors import UserError
from sslkit.network import Classifier, Output, PatchEncoder, Shape, sincos

SMALL = 64  # pixels; up to here patches and stems are finer than the published ones
TIMM_STD = 0.02  # of timm's head of a ViT


class TimmClassifier(Classifier):
    """Any timm model whose `forward_head(…, pre_logits=True)` gives (N, D) features for its classifier.

    Args:
        arguments: beside the number of classes, what `timm.create_model` needs to make `model` again.
    """

    name: ClassVar[str] = ""  # in timm

    def __init__(self, model: nn.Module, feature_dim: int, arguments: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model: Any = model
        self.feature_dim = feature_dim
        self.arguments = dict(arguments or {})

    @classmethod
    def timm_name(cls, **argument: str) -> str:
        return argument.get("model", cls.name)

    def forward(self, images: Tensor) -> Output:
        tokens = self.model.forward_features(images)
        features = self.model.forward_head(tokens, pre_logits=True)
        return Output(self.model.get_classifier()(features).float(), features.float())

    def stack(self) -> list[nn.Module]:
        blocks = getattr(self.model, "blocks", None)
        return list(blocks) if isinstance(blocks, nn.Sequential | nn.ModuleList) else []

    def no_weight_decay(self) -> set[str]:
        names: set[str] = getattr(self.model, "no_weight_decay", set)()
        return {f"model.{name}" for name in names} & dict(self.named_parameters()).keys()

    def hub_config(
        self,
        classes: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        size: int,
        crop: float = 1.0,
        interpolation: str = "bicubic",
    ) -> dict[str, Any]:
        """What timm keeps in `config.json` on the Hugging Face hub; `architecture` and `model_args` make the network.

        Raises:
            UserError: timm cannot make it: a stem for small images is ours.
        """
        import timm  # slow to import

        about = getattr(self.model, "pretrained_cfg", {})
        name = about.get("architecture", "")
        if not timm.is_model(name):
            raise UserError(f"timm has no {type(self).__name__}, so that it cannot read its weights")
        with torch.device("meta"):
            theirs = timm.create_model(name, num_classes=len(classes), **self.arguments).state_dict()
        for key, tensor in self.model.state_dict().items():
            if key not in theirs or theirs[key].shape != tensor.shape:
                other = tuple(theirs[key].shape) if key in theirs else "absent"
                hint = f"; up to {SMALL} px the stem is not timm's" if tensor.ndim == 4 else ""
                raise UserError(
                    f"timm's {name} cannot read these weights: {key} is {tuple(tensor.shape)}, timm's {other}{hint}"
                )
        shown = {"input_size": [3, size, size], "mean": list(mean), "std": list(std), "num_classes": len(classes)}
        fixed = {"interpolation": interpolation, "crop_pct": crop, "crop_mode": "center", "custom_load": False}
        kept = {key: about[key] for key in ("first_conv", "classifier", "fixed_input_size") if key in about}
        return {
            "architecture": name,
            "num_classes": len(classes),
            "num_features": self.feature_dim,
            "label_names": list(classes),
            "model_args": self.arguments,
            "pretrained_cfg": shown | fixed | kept,
        }


@dataclass(frozen=True)
class Width:
    """Embedding dimension, blocks and heads of a ViT, and its patch on images above 64 px."""

    dim: int
    depth: int
    heads: int
    patch: int = 16


class ViT(TimmClassifier, PatchEncoder):
    """A pre-norm vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929), trained from scratch.

    Options:
        patch: side of a patch in pixels; None is 4 up to 64 px and the published one above.
        pool: "mean" of the patch tokens then LayerNorm (MAE, Semi-ViT B and L), or the class "token".
        pos_embed: "learned", or fixed sines and cosines ("sincos", MAE's), which are not trained.
        head_std: of the head's truncated normal weights; Semi-ViT starts fine-tuning with 2e-5. Its bias is 0.
        drop_path: stochastic depth of the last block, rising linearly from 0.
    """

    width: ClassVar[Width]
    trained_defaults = {"finetune.layer_decay": 0.75}  # lower layers are changed less, as in MAE's recipe

    def __init__(
        self,
        shape: Shape,
        *,
        patch: int | None = None,
        pool: Literal["mean", "token"] = "mean",
        pos_embed: Literal["learned", "sincos"] = "learned",
        head_std: float = TIMM_STD,
        drop_path: float = 0.0,
    ) -> None:
        import timm  # slow to import

        published = 4 if shape.size <= SMALL else self.width.patch
        patch = checked_patch(shape.size, published if patch is None else patch)
        if not 0 <= head_std <= 1:
            raise UserError(f"backbone.head_std must be in [0, 1], got {head_std}")
        arguments = {
            "img_size": shape.size,
            "patch_size": patch,
            "embed_dim": self.width.dim,
            "depth": self.width.depth,
            "num_heads": self.width.heads,
            "global_pool": "avg" if pool == "mean" else "token",
        }
        name = self.name or "vit_tiny_patch16_224"  # with other arguments
        rate = checked_drop_path(drop_path)
        model = timm.create_model(name, num_classes=shape.classes, drop_path_rate=rate, **arguments)
        with torch.no_grad():
            model.head.weight.mul_(head_std / TIMM_STD)  # scaled, not drawn again: no other draw moves
            if pos_embed == "sincos":
                model.pos_embed.copy_(sincos(self.width.dim, *model.patch_embed.grid_size))
                model.pos_embed.requires_grad_(False)
        super().__init__(model, self.width.dim, arguments)
        self.patch, self.grid, self.pools_patches = patch, model.patch_embed.grid_size, pool == "mean"

    def encode(self, images: Tensor, seen: Tensor) -> Tensor:
        model = self.model
        patches = model.patch_embed(images) + model.pos_embed[:, 1:]
        patches = patches.gather(1, seen[..., None].expand(-1, -1, patches.shape[2]))
        first = (model.cls_token + model.pos_embed[:, :1]).expand(len(images), -1, -1)
        tokens: Tensor = model.norm(model.blocks(torch.cat([first, patches], 1)))  # no norm where patches are pooled
        return tokens

    def trunk(self) -> list[nn.Module]:
        return [self.model.patch_embed, self.model.blocks]

    def layers(self) -> list[list[nn.Parameter]]:
        model = self.model
        first = [model.cls_token, model.pos_embed, *model.patch_embed.parameters()]
        blocks = [list(block.parameters()) for block in model.blocks]
        below = {id(p) for layer in (first, *blocks) for p in layer}
        return [first, *blocks, [p for p in self.parameters() if id(p) not in below]]


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


def checked_drop_path(rate: float) -> float:
    """`rate`, where it is a probability below 1.

    Raises:
        UserError: it is not.
    """
    if not 0 <= rate < 1:
        raise UserError(f"backbone.drop_path must be in [0, 1), got {rate}")
    return rate


class ResNet(TimmClassifier):
    """timm's ResNet; up to 64 px the stem is one 3x3 convolution of stride 1 without pooling."""

    channels_last = True

    def __init__(self, shape: Shape, *, drop_path: float = 0.0) -> None:
        import timm  # slow to import

        rate = checked_drop_path(drop_path)
        model = timm.create_model(self.name, num_classes=shape.classes, drop_path_rate=rate)
        if shape.size <= SMALL:
            wide = model.conv1.out_channels
            model.conv1 = nn.Conv2d(3, wide, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
            model.maxpool = nn.Identity()
        super().__init__(model, model.num_features)

    def stack(self) -> list[nn.Module]:
        model = self.model
        return [*model.layer1, *model.layer2, *model.layer3, *model.layer4]


class ConvNeXt(TimmClassifier):
    """timm's ConvNeXt (Liu et al. 2022, arXiv:2201.03545); up to 64 px the stem is one 3x3 convolution of stride 1.

    The published stem, 4x4 of stride 4, would leave 1x1 of an image of 32 px. A stem of 1x1 would not do either: the
    norm that follows takes the brightness of a pixel away.
    """

    channels_last = True

    def __init__(self, shape: Shape, *, drop_path: float = 0.0) -> None:
        import timm  # slow to import

        rate = checked_drop_path(drop_path)
        model = timm.create_model(self.name, num_classes=shape.classes, drop_path_rate=rate)
        if shape.size <= SMALL:
            wide = model.stem[0].out_channels
            model.stem[0] = nn.Conv2d(3, wide, 3, padding=1)
            nn.init.trunc_normal_(model.stem[0].weight, std=0.02)
            nn.init.zeros_(model.stem[0].bias)
        super().__init__(model, model.num_features)

    def stack(self) -> list[nn.Module]:
        return [block for stage in self.model.stages for block in stage.blocks]
