"""Parquet files in the layout of the Hugging Face hub, `parquet:DIR`, or one file: images and labels, any columns."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sslkit.data import Dataset, Raw
from sslkit.data.columns import Columns
from sslkit.datasets._tables import Table, parts_of
from sslkit.errors import UserError, one_line
from sslkit.registry import register

SPLITS = {"train": r"train", "test": r"test|val", "unlabelled": r"unlabell?ed"}


@register("dataset")
class Parquet(Dataset):
    """The image column is the one of bytes (or a struct with them); the label column is the one that is named so.

    Files whose name begins with `train` are the training part, with `test` (else `val`) the test part, with `unlabeled`
    more of the training part; where no name does, all are, and a column `split` says which rows are the test. A label
    that is null or -1, or no column of labels, means unlabelled.
    """

    argument = "dir"

    def __init__(self, *, dir: str, image: str = "", label: str = "", split: str = "", group: str = "") -> None:
        self.dir = Path(dir).expanduser()
        self.columns = Columns(image, label, split, group)

    def read(self) -> tuple[list[str], Raw, Raw]:
        alone = self.dir.is_file()  # then its name says nothing
        files = [self.dir] if alone else sorted(self.dir.rglob("*.parquet"))
        if not files:
            raise UserError(f"{self.dir} holds no *.parquet" if self.dir.is_dir() else f"no folder or file {self.dir}")
        parts = {part: [] if alone else self._chosen(files, part) for part in SPLITS}
        if not any(parts.values()):
            parts["train"] = files
        if not parts["train"]:
            raise UserError(
                f"{self.dir} holds no train*.parquet, only {files[0].name}; parquet:{files[0]} takes that file"
            )
        counts = [f"{len(chosen)} {part}" for part, chosen in parts.items() if chosen]
        tables = {part: self._tables(part, chosen) for part, chosen in parts.items()}
        classes, train, test, remarks = parts_of(
            tables["train"], tables["test"], tables["unlabelled"], str(self.dir), self.columns
        )
        self.remarks = [f"{self.dir}: {', '.join(counts)} files", *remarks]
        return classes, train, test

    def _chosen(self, files: list[Path], part: str) -> list[Path]:
        for prefix in SPLITS[part].split("|"):
            chosen = [f for f in files if re.match(prefix, f.name, re.I) or re.fullmatch(prefix, f.parent.name, re.I)]
            if chosen:
                return chosen
        return []

    def _tables(self, part: str, files: list[Path]) -> list[Table]:
        try:
            return [(str(file), pq.read_table(file)) for file in files]
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"cannot read the {part} part of {self.dir}: {one_line(error)}") from None
