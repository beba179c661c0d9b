"""Parquet files in the layout of the Hugging Face hub, `parquet:DIR`, or one file: images and labels, any columns."""

import re
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from sslkit.data import Dataset, Raw
from sslkit.data.columns import Columns
from sslkit.datasets._tables import Table, parts_of
from sslkit.errors import UserError, listed, one_line
from sslkit.registry import register
from sslkit.store import anywhere

NULL = "__HIVE_DEFAULT_PARTITION__"  # of a folder whose rows have no value
SPLITS = {"train": r"train", "test": r"test|val", "unlabelled": r"unlabell?ed"}


@register("dataset")
class Parquet(Dataset):
    """The image column is the one of bytes (or a struct with them); the label column is the one that is named so.

    Files whose name begins with `train`, or that lie in a folder of that name, are the training part, with `test` (else
    `val`) the test part, with `unlabeled` more of the training part; where no name does, all are, and a column `split`
    says which rows are the test. A label that is null or -1, or no column of labels, means unlabelled. A folder
    `NAME=VALUE` is a column, as programs write that divide a table by its values.
    """

    argument = "dir"

    def __init__(
        self,
        *,
        dir: str,
        image: str = "",
        label: str = "",
        split: str = "",
        group: str = "",
        multilabel: bool = False,
    ) -> None:
        self.dir = anywhere.place(dir)
        self.columns = Columns(image, label, split, group, multilabel)

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
        taken = {*parts["train"], *parts["test"], *parts["unlabelled"]}
        rest = [str(file.relative_to(self.dir)) for file in files if file not in taken]
        unused = f", not used: {listed(rest)}" if rest else ""
        self.remarks = [f"{self.dir}: {', '.join(counts)} files{unused}", *remarks]
        return classes, train, test

    def _chosen(self, files: list[Path], part: str) -> list[Path]:
        for prefix in SPLITS[part].split("|"):
            inside = {f: f.relative_to(self.dir).parts[:-1] for f in files}
            chosen = [
                file
                for file, folders in inside.items()
                if re.match(prefix, file.name, re.I) or any(re.fullmatch(prefix, name, re.I) for name in folders)
            ]
            if chosen:
                return chosen
        return []

    def _tables(self, part: str, files: list[Path]) -> list[Table]:
        try:
            return [(str(file), self._divided(_read(file), file)) for file in files]
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"cannot read the {part} part of {self.dir}: {one_line(error)}") from None

    def _divided(self, table: pa.Table, file: Path) -> pa.Table:
        """With what the folders around a file say of all its rows."""
        for name, equals, value in (folder.partition("=") for folder in file.relative_to(self.dir).parts[:-1]):
            if equals and name not in table.column_names:
                word = None if value == NULL else unquote(value)
                table = table.append_column(name, pa.array([word] * len(table), pa.string()))
        return table


def _read(file: Path) -> pa.Table:
    return pq.read_table(anywhere.opened(file) if anywhere.is_remote(file) else file, partitioning=None)
