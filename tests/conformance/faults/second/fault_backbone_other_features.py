"""Convolutions with pooling, whose features are normalised before the head."""

from torch import nn

from sslkit import register
from sslkit.network import Classifier, Output


@register("backbone")
class NormedConv(Classifier):
    defaults = {"finetune.lr": 3e-3}

    def __init__(self, shape, *, width: int = 32):
        super().__init__()
        self.feature_dim = width
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.GELU(), nn.Conv2d(width, width, 3, padding=1), nn.GELU()
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, shape.classes)

    def forward(self, images):
        pooled = self.body(images).mean((2, 3))  # (N, D)
        return Output(self.head(self.norm(pooled)).float(), pooled.float())

    def stack(self):
        return list(self.body)
