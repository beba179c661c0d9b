"""iNaturalist 2021: 2.7 million + 100,000 photographs of 10,000 species.

Paper: Van Horn et al. 2021, Benchmarking Representation Learning for Natural World Image Collections
"""

from typing import ClassVar

from sslkit.data import Raw
from sslkit.datasets._folders import class_folders
from sslkit.datasets._torchvision import TorchvisionSet
from sslkit.registry import register


@register("dataset")
class Inaturalist(TorchvisionSet):
    """The official validation part is the test part. Classes are the folders, sorted, and so are their files."""

    needs = ("2021_train", "2021_valid")
    train: ClassVar[str] = "2021_train"

    def read(self) -> tuple[list[str], Raw, Raw]:
        for version in self.needs:  # torchvision fetches and names the folders; its own order is the disk's
            if self.download:
                self.open("INaturalist", version=version)
        layout = f"{self.train}/CATEGORY/*.jpg and 2021_valid/CATEGORY/*.jpg below --data-dir, or --download"
        return class_folders(self.dir, self.train, "2021_valid", layout)
