"""Parquet files in the layout of the Hugging Face hub, `parquet:DIR`: encoded images and labels, any column names."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sslkit.data import Array, Dataset, Raw
from sslkit.errors import UserError, one_line
from sslkit.registry import register

SPLITS = {"train": r"train", "test": r"test|val"}
LABELS = ("label", "labels", "target", "class", "fine_label", "y")


@register("dataset")
class Parquet(Dataset):
    """The image column is the one of bytes (or a struct with them), the label column that of numbers or words.

    Files whose name begins with `train` are the training part, with `test` (else `val`) the test part. A label
    that is null or -1 means unlabelled.
    """

    argument = "dir"

    def __init__(self, *, dir: str) -> None:
        self.dir = Path(dir).expanduser()

    def read(self) -> tuple[list[str], Raw, Raw]:
        train, test = self._table("train"), self._table("test")
        image, label = _columns(train.schema, self.dir)
        for table in (train, test):
            if table.schema.field(image).type != train.schema.field(image).type or label not in table.column_names:
                raise UserError(f"{self.dir}: the test part has other columns than the training part")
        classes = _classes(train, test, label)
        return classes, _raw(train, image, label, classes), _raw(test, image, label, classes)

    def _table(self, part: str) -> Any:
        files = sorted(self.dir.rglob("*.parquet"))
        for prefix in SPLITS[part].split("|"):
            chosen = [f for f in files if re.match(prefix, f.name, re.I) or f.parent.name.lower() == prefix]
            if chosen:
                try:
                    return pa.concat_tables([pq.read_table(file) for file in chosen])
                except (OSError, pa.ArrowException) as error:
                    raise UserError(f"cannot read the {part} part of {self.dir}: {one_line(error)}") from None
        raise UserError(f"{self.dir} holds no {part}*.parquet" if self.dir.is_dir() else f"no folder {self.dir}")


def _columns(schema: Any, folder: Path) -> tuple[str, str]:
    image = [f.name for f in schema if _is_image(f.type)]
    label = [f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_string(f.type)]
    label.sort(key=lambda name: LABELS.index(name.lower()) if name.lower() in LABELS else len(LABELS))
    if not image or not label:
        lists = [f.name for f in schema if pa.types.is_list(f.type)]
        why = f"; {lists[0]!r} holds several labels a row, which are not supported" if lists else ""
        raise UserError(f"{folder}: no column of {'images' if not image else 'labels'} in {schema.names}{why}")
    return image[0], label[0]


def _is_image(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _classes(train: Any, test: Any, label: str) -> list[str]:
    """Class names: those of the hub's metadata, else the sorted words or numbers of the training part."""
    about = json.loads((train.schema.metadata or {}).get(b"huggingface", b"{}"))
    names = about.get("info", {}).get("features", {}).get(label, {}).get("names")
    if names:
        return [str(name) for name in names]
    values = {v for v in train[label].unique().to_pylist() if v is not None and v != -1}
    strange = {v for v in test[label].unique().to_pylist() if v is not None and v != -1} - values
    if strange:
        raise UserError(f"the test part has classes that the training part lacks: {sorted(strange)[:3]}")
    return [str(value) for value in sorted(values)]


def _raw(table: Any, image: str, label: str, classes: list[str]) -> Raw:
    column = table[image].combine_chunks()
    encoded = column.field("bytes") if pa.types.is_struct(column.type) else column
    values = table[label].to_pylist()
    place = {name: i for i, name in enumerate(classes)}
    by_name = not all(isinstance(v, int) and 0 <= v < len(classes) for v in values if v not in (None, -1))
    labels: Array = np.array([
        -1 if v in (None, -1) else place.get(str(v), -1) if by_name or str(v) in place else v for v in values
    ])  # fmt: skip
    return Raw(encoded.to_pylist(), labels.astype(np.int64))
