"""Two convolutions, their mean, and a linear head."""

from torch import Tensor, nn

from sslkit import register
from sslkit.network import Classifier, Output, Shape


@register("backbone")
class Mine(Classifier):
    """Options:
    width: channels, and features.
    """

    defaults = {"finetune.lr": 3e-3}

    def __init__(self, shape: Shape, *, width: int = 32) -> None:
        super().__init__()
        self.feature_dim = width
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(width, shape.classes)

    def forward(self, images: Tensor) -> Output:
        features = self.body(images).mean((2, 3))  # (N, D)
        return Output(self.head(features).float(), features.float())
