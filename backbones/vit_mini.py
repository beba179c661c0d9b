"""ViT, 192-d, 6 blocks, 3 heads.

Paper: Dosovitskiy et al. 2021, arXiv:2010.11929
"""

from sslkit.backbones._timm import ViT, Width, learning_rates
from sslkit.registry import register


@register("backbone")
class ViTMini(ViT):
    width = Width(dim=192, depth=6, heads=3)
    defaults = learning_rates(finetune=2e-3, semi=1e-3)
