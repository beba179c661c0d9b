"""ViT-Huge, 1280-d, 32 blocks, 16 heads, patch 14: 632M parameters.

Paper: Dosovitskiy et al. 2021, arXiv:2010.11929
"""

from sslkit.backbones._timm import ViT, Width, learning_rates
from sslkit.registry import register


@register("backbone")
class ViTHuge(ViT):
    name = "vit_huge_patch14_224"
    width = Width(dim=1280, depth=32, heads=16, patch=14)
    defaults = learning_rates(finetune=1e-4, semi=1e-4)
