"""Data sets of the Hugging Face hub, `hf:NAME`, by its package `datasets`."""

import os
from typing import Any

from sslkit.data import TEST, Dataset, Raw
from sslkit.data.columns import Columns
from sslkit.datasets._tables import parts_of
from sslkit.errors import UserError, one_line
from sslkit.registry import register


@register("dataset")
class Hf(Dataset):
    """What the package has stored before is read; with `download` it may ask the hub. Columns are found as in parquet.

    NAME may also be a folder that the package knows how to load.
    """

    argument = "name"

    def __init__(
        self,
        *,
        name: str,
        download: bool = False,
        image: str = "",
        label: str = "",
        split: str = "",
        group: str = "",
        multilabel: bool = False,
    ) -> None:
        self.name = name
        self.download = download
        self.columns = Columns(image, label, split, group, multilabel)

    def read(self) -> tuple[list[str], Raw, Raw]:
        found = self._load()
        test = next((part for part in TEST if part in found), None)
        if "train" not in found:
            raise UserError(f"hf:{self.name} must have a part train, it has {list(found)}")
        more = "unsupervised" if "unsupervised" in found else None
        tables = [
            [(f"hf:{self.name}, part {part}", _table(found[part]))] if part else [] for part in ("train", test, more)
        ]
        classes, train, tested, remarks = parts_of(tables[0], tables[1], tables[2], f"hf:{self.name}", self.columns)
        self.remarks = remarks
        return classes, train, tested

    def _load(self) -> Any:
        if not self.download:
            # before the import, which reads it once (huggingface/transformers#42308): else the hub is asked every time
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            import datasets  # type: ignore[import-not-found,unused-ignore]

            return datasets.load_dataset(self.name)
        except ImportError:
            raise UserError("data sets of the hub need the package datasets: pip install datasets") from None
        except Exception as error:  # the package, its loaders and the network raise what they like
            more = "" if self.download else "; add --download to fetch it"
            raise UserError(f"hf:{self.name} cannot be loaded: {one_line(error)}{more}") from None


def _table(part: Any) -> Any:
    """The part as an arrow table, images as they are stored."""
    return part.with_format("arrow")[:].replace_schema_metadata(part.features.arrow_schema.metadata)
