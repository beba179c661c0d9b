"""Class folders of one's own, `folder:DIR`: DIR/train/CLASS, DIR/test/CLASS and, without labels, DIR/unlabeled."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from sslkit.data import TEST, Dataset, Raw
from sslkit.datasets._folders import class_folders, files_below
from sslkit.errors import UserError
from sslkit.registry import register


@register("dataset")
class Folder(Dataset):
    """The test part is the first that is there of test, val, valid and validation. Classes are sorted folder names.

    Images without a label come last in the training part.
    """

    argument = "dir"

    def __init__(self, *, dir: str) -> None:
        self.dir = Path(dir).expanduser()

    def read(self) -> tuple[list[str], Raw, Raw]:
        if not self.dir.is_dir():
            raise UserError(f"no folder {self.dir}")
        test = next((name for name in TEST if (self.dir / name).is_dir()), "test")
        layout = f"{self.dir}/train/CLASS/*.jpg and {self.dir}/test/CLASS/*.jpg"
        classes, train, tested = class_folders(self.dir, "train", test, layout)
        if (self.dir / "unlabeled").is_dir():
            more = files_below(self.dir, "unlabeled")
            label = np.concatenate([train.label, np.full(len(more), -1)])
            train = replace(train, images=[*train.images, *more], label=label)
        return classes, train, tested
