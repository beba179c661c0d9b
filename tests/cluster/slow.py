"""A network of 700 weights whose training takes as long as it is told to, without a processor: SSLKIT_SLOW seconds."""

import os
import time

import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import register
from sslkit.network import Classifier, Output, Shape

SLOW = float(os.environ.get("SSLKIT_SLOW", "0"))


@register("backbone", "slow")
class Slow(Classifier):
    """Two convolutions and a head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, shape.classes)
        self.feature_dim = 6

    def forward(self, images: Tensor) -> Output:
        if self.training:
            time.sleep(SLOW)
        grid = self.second(F.relu(self.norm(self.first(images))))  # (N, 6, h, w)
        features = F.relu(grid).mean((2, 3))
        return Output(self.head(features).float(), features.float())
