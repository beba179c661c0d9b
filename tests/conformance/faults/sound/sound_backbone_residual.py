"""A small residual network with BatchNorm and dropout before the head.

Paper: He et al. 2016, Deep Residual Learning, arXiv:1512.03385
"""

import torch.nn.functional as F
from torch import nn

from sslkit import register
from sslkit.errors import UserError
from sslkit.network import Classifier, Output


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x):
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


@register("backbone")
class Residual(Classifier):
    defaults = {"finetune.lr": 3e-3}

    def __init__(self, shape, *, width: int = 24, blocks: int = 2, drop: float = 0.1):
        super().__init__()
        if width < 1 or blocks < 1 or not 0 <= drop < 1:
            raise UserError(f"backbone.width, blocks or drop is out of range: {width}, {blocks}, {drop}")
        self.feature_dim = width
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.drop = nn.Dropout(drop)
        self.head = nn.Linear(width, shape.classes)

    def forward(self, images):
        grid = self.blocks(F.relu(self.norm(self.stem(images))))  # (N, D, h, w)
        features = self.drop(grid.mean((2, 3)))  # (N, D)
        return Output(self.head(features).float(), features.float())

    def stack(self):
        return list(self.blocks)

    def layers(self):
        groups = [[self.stem, self.norm], *([block] for block in self.blocks), [self.head]]
        return [[parameter for module in group for parameter in module.parameters()] for group in groups]
