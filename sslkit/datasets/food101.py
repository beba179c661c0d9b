"""Food-101: 75,750 + 25,250 photographs of dishes in 101 classes.

Paper: Bossard, Guillaumin and Van Gool 2014, Food-101: Mining Discriminative Components with Random Forests
"""

from typing import Any

import numpy as np

from sslkit.data import Raw
from sslkit.datasets._torchvision import TorchvisionSet
from sslkit.registry import register


@register("dataset")
class Food101(TorchvisionSet):
    """Parts and their order are those of the files in `meta`."""

    needs = ("food-101/images", "food-101/meta/train.json", "food-101/meta/test.json")

    def read(self) -> tuple[list[str], Raw, Raw]:
        # torchvision's loader gets the path, so that nothing is decoded here
        train, test = (self.open("Food101", split=part, loader=self._relative) for part in ("train", "test"))
        return list(train.classes), self._raw(train), self._raw(test)

    def _relative(self, path: Any) -> str:
        return str(path.relative_to(self.dir).as_posix())

    def _raw(self, part: Any) -> Raw:
        names, label = zip(*(part[i] for i in range(len(part))), strict=True)
        return Raw(list(names), np.array(label, np.int64), root=self.dir)
