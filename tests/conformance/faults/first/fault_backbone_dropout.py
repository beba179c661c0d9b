"""Two convolutions, with dropout before the head."""

import torch.nn.functional as F
from torch import nn

from sslkit import register
from sslkit.errors import UserError
from sslkit.network import Classifier, Output


@register("backbone")
class DroppedConv(Classifier):
    def __init__(self, shape, *, width: int = 32, drop: float = 0.2):
        super().__init__()
        if not 0 <= drop < 1:
            raise UserError(f"backbone.drop must be in [0, 1), got {drop}")
        self.feature_dim, self.drop = width, drop
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, shape.classes)

    def forward(self, images):
        x = F.relu(self.second(F.relu(self.first(images))))
        features = F.dropout(x.mean((2, 3)), self.drop).float()  # (N, D)
        return Output(self.head(features).float(), features)
