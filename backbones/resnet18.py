"""ResNet-18; a 3x3 stem without pooling up to 64 px.

Paper: He et al. 2016, arXiv:1512.03385
"""

from sslkit.backbones._timm import ResNet
from sslkit.registry import register


@register("backbone")
class ResNet18(ResNet):
    name = "resnet18"
