"""Three convolutions with BatchNorm and a linear head."""

from torch import nn

from sslkit import register
from sslkit.network import Classifier, Output


@register("backbone")
class ThreeConv(Classifier):
    defaults = {"finetune.lr": 3e-3}

    def __init__(self, shape, *, width: int = 32):
        super().__init__()
        self.feature_dim = 2 * width
        widths = [3, width, width, 2 * width]
        self.body = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b in zip(widths, widths[1:], strict=False)
            )
        )
        self.head = nn.Linear(2 * width, shape.classes)

    def forward(self, images):
        features = self.body(images).flatten(2).mean(2)  # (N, D)
        return Output(self.head(features), features)
