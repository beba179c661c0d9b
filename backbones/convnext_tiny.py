"""ConvNeXt-T, 28.6M parameters with 1000 classes; a 3x3 stem of stride 1 up to 64 px.

Paper: Liu et al. 2022, arXiv:2201.03545
"""

from sslkit.backbones._timm import ConvNeXt
from sslkit.registry import register


@register("backbone")
class ConvNeXtTiny(ConvNeXt):
    name = "convnext_tiny"
