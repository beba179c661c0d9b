"""Wide ResNet, depth 28, width factor 8.

Paper: Zagoruyko and Komodakis 2016, arXiv:1605.07146
"""

from sslkit.backbones._wrn import WideResNet
from sslkit.registry import register


@register("backbone")
class WRN28x8(WideResNet):
    depth, factor = 28, 8
