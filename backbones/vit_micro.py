"""ViT, 128-d, 4 blocks, 4 heads: for images up to 16 px.

Paper: Dosovitskiy et al. 2021, arXiv:2010.11929
"""

from sslkit.backbones._timm import ViT, Width, learning_rates
from sslkit.registry import register


@register("backbone")
class ViTMicro(ViT):
    width = Width(dim=128, depth=4, heads=4)
    defaults = learning_rates(finetune=3e-3, semi=1e-3, control=1e-4)
