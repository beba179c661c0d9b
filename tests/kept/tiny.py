"""A network of 700 weights, so that a kept store is small."""

import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import register
from sslkit.network import Classifier, Output, Shape


@register("backbone", "tiny")
class Tiny(Classifier):
    """Two convolutions and a head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, shape.classes)
        self.feature_dim = 6

    def forward(self, images: Tensor) -> Output:
        grid = self.second(F.relu(self.norm(self.first(images))))  # (N, 6, h, w)
        features = F.relu(grid).mean((2, 3))
        return Output(self.head(features).float(), features.float())
