"""ViT-Tiny, 192-d, 12 blocks, 3 heads: 5.7M parameters at 224 px.

Paper: Dosovitskiy et al. 2021, arXiv:2010.11929
"""

from sslkit.backbones._timm import ViT, Width, learning_rates
from sslkit.registry import register


@register("backbone")
class ViTTiny(ViT):
    name = "vit_tiny_patch16_224"
    width = Width(dim=192, depth=12, heads=3)
    defaults = learning_rates(finetune=1e-3, semi=5e-4)
