"""EfficientNet-Lite0, 4.7M parameters with 1000 classes; ImageNet weights of 224 px by the extra `pretrained`.

Paper: Tan and Le 2019, arXiv:1905.11946
"""

from sslkit.backbones._lite import EfficientNetLite
from sslkit.registry import register


@register("backbone")
class EfficientNetLite0(EfficientNetLite):
    name = "tf_efficientnet_lite0"
    side = 224
