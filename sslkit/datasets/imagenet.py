"""ImageNet (ILSVRC 2012): 1,281,167 + 50,000 photographs in 1,000 classes.

Paper: Russakovsky et al. 2015, ImageNet Large Scale Visual Recognition Challenge
"""

from pathlib import Path

from sslkit.data import Dataset, Raw
from sslkit.datasets._folders import class_folders
from sslkit.errors import UserError
from sslkit.registry import register

LAYOUT = "DIR/train/SYNSET/*.JPEG and DIR/val/SYNSET/*.JPEG"


@register("dataset")
class Imagenet(Dataset):
    """Classes are the synset folders, sorted; the order is that of torchvision's ImageFolder; `val` is the test."""

    def __init__(self, *, dir: str = "") -> None:
        self.dir = Path(dir).expanduser()
        if not dir:
            raise UserError(f"imagenet needs its folder: --data-dir DIR, with {LAYOUT}")

    def read(self) -> tuple[list[str], Raw, Raw]:
        return class_folders(self.dir, "train", "val", LAYOUT)
