"""1,797 handwritten digits of 8x8 pixels, inside scikit-learn: 1,000 to train on, 797 to test.

Paper: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI repository
"""

import numpy as np
from sklearn.datasets import load_digits

from sslkit.data import Dataset, Raw
from sslkit.data.image import Array
from sslkit.randomness import key, permutation
from sslkit.registry import register


@register("dataset")
class Digits(Dataset):
    """The test part is stratified, and the same for every seed."""

    flip = False
    mean, std = (0.305,) * 3, (0.376,) * 3
    defaults = {
        "views.weak": "plain",
        "views.weak.shift": 0.06,  # half a pixel: larger ones cost accuracy on 8 px
        "views.weak.rotate": 5.0,
        "views.medium": "plain",  # half-way
        "views.medium.shift": 0.08,
        "views.medium.rotate": 7.5,
        "views.medium.brightness": 0.25,
        "views.medium.contrast": 0.25,
        "views.strong": "plain",
        "views.strong.shift": 0.1,
        "views.strong.rotate": 10.0,
        "views.strong.brightness": 0.5,
        "views.strong.contrast": 0.5,
        "views.pretrain": "plain",  # a fifth of 8 x 8 pixels is no digit
        "views.pretrain.shift": 0.06,
        "views.pretrain.rotate": 5.0,
        "finetune.steps": 80,  # so that vit_base takes minutes on two cores
        "finetune.layer_decay": 1.0,  # 80 steps from pre-trained weights are too few for less
        "finetune.batch": 16,
        "semi.steps": 80,
        "semi.batch": 16,
        "semi.mu": 3,
        "labeler.tau": 0.6,
        "labeler.smoothing": 0.0,
        "algo.lambda_u": 1.0,
        "control.run": True,
    }

    def read(self) -> tuple[list[str], Raw, Raw]:
        digits = load_digits()
        images = np.round(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), stored as 0..16
        label = digits.target.astype(np.int64)
        test = np.sort(np.concatenate([_first(np.flatnonzero(label == c), c) for c in range(10)]))
        train = np.setdiff1d(np.arange(len(label)), test)
        names = [str(name) for name in digits.target_names]
        return names, Raw(images[train], label[train]), Raw(images[test], label[test])


def _first(members: Array, c: int) -> Array:
    """The test images of class c: 797 / 1797 of it, which makes 797 in all."""
    order = permutation(key("digits.test", c), len(members)).numpy()
    chosen: Array = members[order[: round(len(members) * 797 / 1797)]]
    return chosen
