"""STL-10: 5,000 + 8,000 photographs of 96 pixels in ten classes, and 100,000 to train on that have no label.

Paper: Coates, Lee and Ng 2011, An Analysis of Single-Layer Networks in Unsupervised Feature Learning
"""

from typing import Any

import numpy as np

from sslkit.data import Raw
from sslkit.datasets._torchvision import TorchvisionSet
from sslkit.registry import register


@register("dataset")
class Stl10(TorchvisionSet):
    """The training part holds the labelled images first, then those without a label."""

    # Its protocol, shifts of 12 of 96 pixels.
    defaults = {"views.weak": "pad_crop", "views.medium": "usb_medium", "views.strong": "fixmatch"}
    needs = tuple(
        f"stl10_binary/{name}"
        for name in ("train_X.bin", "train_y.bin", "unlabeled_X.bin", "test_X.bin", "test_y.bin", "class_names.txt")
    )

    def read(self) -> tuple[list[str], Raw, Raw]:
        train, test = (self.open("STL10", split=part) for part in ("train+unlabeled", "test"))
        return list(train.classes), _raw(train), _raw(test)


def _raw(part: Any) -> Raw:
    return Raw(part.data.transpose(0, 2, 3, 1), part.labels.astype(np.int64))
