"""Networks as published where sslkit's differ and no option reaches the published value, for `official_parity`.

Sources: libml/models.py of google-research/fixmatch at d4985a1; models_mae.py of facebookresearch/mae.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import register
from sslkit.backbones._timm import ViT, Width
from sslkit.backbones._wrn import WideResNet
from sslkit.network import Shape


class Below(nn.Conv2d):
    """A 3x3 convolution of stride 2 whose border of zeros is below and on the right, TensorFlow's "same"."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (0, 1, 0, 1)), self.weight, self.bias, self.stride)


@register("backbone", "published_wrn")
class PublishedWRN(WideResNet):
    """BatchNorm's eps is 1e-3, every convolution has a bias, weights start wider, borders are TensorFlow's."""

    depth, factor = 10, 1

    def __init__(self, shape: Shape, *, bn_momentum: float = 0.1) -> None:
        super().__init__(shape, bn_momentum=bn_momentum)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-3
            elif isinstance(module, nn.Conv2d):
                module.bias = nn.Parameter(torch.zeros(module.out_channels))
                with torch.no_grad():
                    module.weight.mul_(1.01**0.5)  # the gain of LeakyReLU 0.1, which is not in the published deviation
                if module.stride == (2, 2) and module.kernel_size == (3, 3):
                    module.__class__ = Below


@register("backbone", "published_vit")
class PublishedViT(ViT):
    """The class token starts with a deviation of 0.02 and is decayed; as wide as `vit_micro`."""

    width = Width(dim=128, depth=4, heads=4)

    def __init__(self, shape: Shape, *, drop_path: float = 0.0) -> None:
        super().__init__(shape, drop_path=drop_path)
        nn.init.normal_(self.model.cls_token, std=0.02)

    def no_weight_decay(self) -> set[str]:
        return super().no_weight_decay() - {"model.cls_token"}
