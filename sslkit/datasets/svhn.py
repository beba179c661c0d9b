"""SVHN: 73,257 + 26,032 house numbers of 32 pixels, cropped to one digit each, never mirrored.

Paper: Netzer et al. 2011, Reading Digits in Natural Images with Unsupervised Feature Learning
"""

from typing import Any

from sslkit.data import Raw
from sslkit.datasets._torchvision import TorchvisionSet
from sslkit.registry import register


@register("dataset")
class Svhn(TorchvisionSet):
    """The digit 0, which is 10 in the files, is class 0. The part `extra` is not read."""

    flip = False
    mean, std = (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)
    needs = ("train_32x32.mat", "test_32x32.mat")

    def read(self) -> tuple[list[str], Raw, Raw]:
        train, test = (self.open("SVHN", split=part) for part in ("train", "test"))
        return [str(digit) for digit in range(10)], _raw(train), _raw(test)


def _raw(part: Any) -> Raw:
    return Raw(part.data.transpose(0, 2, 3, 1), part.labels)
