"""Wide ResNet, depth 10, width factor 1.

Paper: Zagoruyko and Komodakis 2016, arXiv:1605.07146
"""

from sslkit.backbones._wrn import WideResNet
from sslkit.registry import register


@register("backbone")
class WRN10x1(WideResNet):
    depth, factor = 10, 1
