"""Parquet files in the layout of the Hugging Face hub, `parquet:DIR`: encoded images and labels, any column names."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from sslkit.data import Dataset, Raw
from sslkit.errors import UserError, one_line
from sslkit.registry import register

SPLITS = {"train": r"train", "test": r"test|val", "unlabelled": r"unlabell?ed"}
UNLABELLED = (None, -1)
SINGLE = (types.is_integer, types.is_string, types.is_large_string, types.is_dictionary, types.is_null)
SEVERAL = (types.is_list, types.is_large_list)
LABELS = ("label", "labels", "target", "class", "fine_label", "y")


@register("dataset")
class Parquet(Dataset):
    """The image column is the one of bytes (or a struct with them), the label column that of numbers or words.

    Files whose name begins with `train` are the training part, with `test` (else `val`) the test part, with `unlabeled`
    more of the training part; where no name does, all are. A label that is null or -1, or no column of labels, means
    unlabelled.
    """

    argument = "dir"

    def __init__(self, *, dir: str) -> None:
        self.dir = Path(dir).expanduser()

    def read(self) -> tuple[list[str], Raw, Raw]:
        files = sorted(self.dir.rglob("*.parquet"))
        if not files:
            raise UserError(f"{self.dir} holds no *.parquet" if self.dir.is_dir() else f"no folder {self.dir}")
        parts = {part: self._chosen(files, part) for part in SPLITS}
        if not any(parts.values()):
            parts["train"] = files
        if not parts["train"]:
            raise UserError(f"{self.dir} holds no train*.parquet, only {files[0].name}")
        counts = [f"{len(chosen)} {part}" for part, chosen in parts.items() if chosen]
        self.remarks = [f"{self.dir}: {', '.join(counts)} files"]
        train, test, more = (self._table(part, chosen) for part, chosen in parts.items())
        return raw_of_tables(train, test, str(self.dir), more)

    def _chosen(self, files: list[Path], part: str) -> list[Path]:
        for prefix in SPLITS[part].split("|"):
            chosen = [f for f in files if re.match(prefix, f.name, re.I) or re.fullmatch(prefix, f.parent.name, re.I)]
            if chosen:
                return chosen
        return []

    def _table(self, part: str, files: list[Path]) -> Any:
        """None where there are no files."""
        try:
            return pa.concat_tables([pq.read_table(file) for file in files]) if files else None
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"cannot read the {part} part of {self.dir}: {one_line(error)}") from None


def raw_of_tables(train: Any, test: Any, where: str, more: Any = None) -> tuple[list[str], Raw, Raw]:
    """Class names, training part and test part of arrow tables; `where` they come from is for the messages.

    Args:
        test: may be None, then the test part is empty.
        more: images without a label, which come last in the training part; may be None.

    Raises:
        UserError: no column of images, other columns in the test part, or labels that are no class or several.
    """
    image, label = _columns(train.schema, where)
    for part, table, columns in (("test", test, {image, label} - {""}), ("unlabelled", more, {image})):
        if table is not None and (
            not columns <= {*table.column_names} or table.schema.field(image).type != train.schema.field(image).type
        ):
            raise UserError(f"{where}: the {part} part has other columns than the training part")
    empty = train.slice(0, 0)
    train, test = (_single(table, label, where) for table in (train, empty if test is None else test))
    classes, place = _classes(train, test, label) if label else ([], {})
    raw = _raw(train, image, label, place)
    if more is not None:
        added = _raw(more, image, "", place)
        raw = Raw([*raw.images, *added.images], np.concatenate([raw.label, added.label]))
    return classes, raw, _raw(test, image, label, place)


def _columns(schema: Any, folder: str) -> tuple[str, str]:
    """Column of images, and column of labels or ""."""
    image = [f.name for f in schema if _is_image(f.type)]
    if not image:
        raise UserError(f"{folder}: no column of images in {schema.names}")
    label = [f.name for kinds in (SINGLE, SEVERAL) for f in schema if any(kind(f.type) for kind in kinds)]
    label.sort(key=lambda name: LABELS.index(name.lower()) if name.lower() in LABELS else len(LABELS))
    if not label and len(schema.names) > 1:
        raise UserError(f"{folder}: no column of labels (whole numbers or words) in {schema.names}")
    return image[0], label[0] if label else ""


def _single(table: Any, label: str, where: str) -> Any:
    """The table with one label a row, where its labels are lists of one.

    Raises:
        UserError: a row has several.
    """
    if not label or not any(kind(table.schema.field(label).type) for kind in SEVERAL):
        return table
    rows = table[label].to_pylist()
    wrong = next((i for i, row in enumerate(rows) if row is not None and len(row) > 1), None)
    if wrong is not None:
        raise UserError(f"{where}: row {wrong} has several labels, {rows[wrong]}; an image has one class here")
    flat = pa.array([row[0] if row else None for row in rows], table.schema.field(label).type.value_type)
    return table.set_column(table.column_names.index(label), label, flat)


def _is_image(kind: Any) -> bool:
    if types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _classes(train: Any, test: Any, label: str) -> tuple[list[str], dict[Any, int]]:
    """Class names, and value of the label column -> class.

    Numbers are places in the names of the hub's metadata, where there are such; else the classes are the sorted
    words or numbers of the training part.
    """
    values = {v for v in train[label].unique().to_pylist() if v not in UNLABELLED}
    tested = {v for v in test[label].unique().to_pylist() if v not in UNLABELLED}
    names = _names(train.schema, label)
    if names and all(isinstance(value, int) for value in values | tested):
        classes, place = names, {i: i for i in range(len(names))}
    else:
        classes = [str(value) for value in sorted(values)]
        place = {value: i for i, value in enumerate(sorted(values))}
    strange = sorted(map(str, (values | tested) - place.keys()))
    if strange:
        raise UserError(f"labels that are no class of the training part: {strange[:3]}; classes are {classes[:12]}")
    return classes, place


def _names(schema: Any, label: str) -> list[str]:
    """Class names in the hub's metadata, where there are any."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])
        return [str(name) for name in about["info"]["features"][label]["names"]]
    except (KeyError, TypeError, ValueError):
        return []


def _raw(table: Any, image: str, label: str, place: dict[Any, int]) -> Raw:
    files = [file for chunk in table[image].chunks for file in _files(chunk)]
    values = table[label].to_pylist() if label else [None] * len(table)
    labels = [-1 if value in UNLABELLED else place[value] for value in values]
    return Raw(files, np.array(labels, np.int64))


def _files(images: Any) -> list[bytes | str]:
    """What each image is opened from: its bytes, else the file that stands beside them; without either it is empty."""
    if not types.is_struct(images.type):
        return [item or b"" for item in images.to_pylist()]
    columns = [images.field(name).to_pylist() for name in ("bytes", "path") if images.type.get_field_index(name) >= 0]
    return [next(filter(None, row), b"") for row in zip(*columns, strict=True)]
