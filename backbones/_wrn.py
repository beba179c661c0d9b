"""Wide residual networks as the semi-supervised field uses them."""

import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.errors import UserError
from sslkit.network import Classifier, Output, Shape


class WideResNet(Classifier):
    """Pre-activation WRN (Zagoruyko and Komodakis 2016, arXiv:1605.07146), LeakyReLU 0.1, no dropout.

    As in USB: BatchNorm's eps is 1e-5, the last one's 1e-3 (google-research/fixmatch: 1e-3 in all), only the first
    convolution has a bias (there all), weights start with the gain of LeakyReLU 0.1 (there 0.5% wider), and zeros are
    on all sides where the stride is 2 (there below and right).

    Options:
        bn_momentum: of BatchNorm's running statistics. FixMatch publishes 0.001, which needs several
            thousand steps; the default suits short runs.
    """

    channels_last = True
    depth: int
    factor: int

    def __init__(self, shape: Shape, *, bn_momentum: float = 0.1) -> None:
        super().__init__()
        if not 0 < bn_momentum <= 1:
            raise UserError(f"backbone.bn_momentum must be in (0, 1], got {bn_momentum}")
        widths = [16, 16 * self.factor, 32 * self.factor, 64 * self.factor]
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
        blocks: list[nn.Module] = []
        for group in range(3):
            for i in range((self.depth - 4) // 6):
                stride = 2 if group and i == 0 else 1
                wide_in = widths[group + 1] if i else widths[group]
                blocks.append(Block(wide_in, widths[group + 1], stride, first=not blocks))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(widths[3], eps=1e-3)
        self.head = nn.Linear(widths[3], shape.classes)
        self.feature_dim = widths[3]
        self._initialise(bn_momentum)

    def _initialise(self, bn_momentum: float) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.1, mode="fan_out", nonlinearity="leaky_relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.momentum = bn_momentum
        nn.init.xavier_normal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def stack(self) -> list[nn.Module]:
        return list(self.blocks)

    def forward(self, images: Tensor) -> Output:
        grid = F.leaky_relu(self.norm(self.blocks(self.stem(images))), 0.1)  # (N, D, h, w)
        features = grid.mean((2, 3))
        return Output(self.head(features).float(), features.float())


class Block(nn.Module):
    """Two 3x3 convolutions with pre-activation; the first block activates before its shortcut, too."""

    def __init__(self, wide_in: int, wide_out: int, stride: int, *, first: bool) -> None:
        super().__init__()
        self.first, self.same = first, wide_in == wide_out and stride == 1
        self.norm1 = nn.BatchNorm2d(wide_in)
        self.conv1 = nn.Conv2d(wide_in, wide_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide_out)
        self.conv2 = nn.Conv2d(wide_out, wide_out, 3, padding=1, bias=False)
        self.shortcut = nn.Identity() if self.same else nn.Conv2d(wide_in, wide_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.leaky_relu(self.norm1(x), 0.1)
        y = self.conv2(F.leaky_relu(self.norm2(self.conv1(active)), 0.1))
        out: Tensor = y + self.shortcut(active if self.first else x)
        return out
