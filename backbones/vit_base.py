"""ViT-Base, 768-d, 12 blocks, 12 heads: 86M parameters.

Paper: Dosovitskiy et al. 2021, arXiv:2010.11929
"""

from sslkit.backbones._timm import ViT, Width, learning_rates
from sslkit.registry import register


@register("backbone")
class ViTBase(ViT):
    name = "vit_base_patch16_224"
    width = Width(dim=768, depth=12, heads=12)
    defaults = learning_rates(finetune=3e-4, semi=2e-4)
