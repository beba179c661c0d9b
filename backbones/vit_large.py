"""ViT-Large, 1024-d, 24 blocks, 16 heads: 303M parameters.

Paper: Dosovitskiy et al. 2021, arXiv:2010.11929
"""

from sslkit.backbones._timm import ViT, Width, learning_rates
from sslkit.registry import register


@register("backbone")
class ViTLarge(ViT):
    name = "vit_large_patch16_224"
    width = Width(dim=1024, depth=24, heads=16)
    defaults = learning_rates(finetune=2e-4, semi=1e-4)
