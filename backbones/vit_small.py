"""ViT-Small, 384-d, 12 blocks, 6 heads: 22M parameters at 224 px.

Paper: Dosovitskiy et al. 2021, arXiv:2010.11929
"""

from sslkit.backbones._timm import ViT, Width, learning_rates
from sslkit.registry import register


@register("backbone")
class ViTSmall(ViT):
    name = "vit_small_patch16_224"
    width = Width(dim=384, depth=12, heads=6)
    defaults = learning_rates(finetune=5e-4, semi=3e-4)
