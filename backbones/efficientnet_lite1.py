"""EfficientNet-Lite1, 5.4M parameters with 1000 classes; ImageNet weights of 240 px by the extra `pretrained`.

Paper: Tan and Le 2019, arXiv:1905.11946
"""

from sslkit.backbones._lite import EfficientNetLite
from sslkit.registry import register


@register("backbone")
class EfficientNetLite1(EfficientNetLite):
    name = "tf_efficientnet_lite1"
    side = 240
