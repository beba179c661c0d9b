"""Parquet files in the layout of the Hugging Face hub, `parquet:DIR`: encoded images and labels, any column names."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sslkit.data import Dataset, Raw
from sslkit.errors import UserError, one_line
from sslkit.registry import register

SPLITS = {"train": r"train", "test": r"test|val"}
UNLABELLED = (None, -1)
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
        return raw_of_tables(self._table("train"), self._table("test"), str(self.dir))

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


def raw_of_tables(train: Any, test: Any, where: str) -> tuple[list[str], Raw, Raw]:
    """Class names, training part and test part of two arrow tables; `where` they come from is for the messages.

    Raises:
        UserError: no column of images or labels, other columns in the test part, or labels that are no class.
    """
    image, label = _columns(train.schema, where)
    for table in (train, test):
        if table.schema.field(image).type != train.schema.field(image).type or label not in table.column_names:
            raise UserError(f"{where}: the test part has other columns than the training part")
    classes, place = _classes(train, test, label)
    return classes, _raw(train, image, label, place), _raw(test, image, label, place)


def _columns(schema: Any, folder: str) -> tuple[str, str]:
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
    if not values:
        raise UserError(f"no image of the training part has a label in column {label!r}")
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
    labels = [-1 if value in UNLABELLED else place[value] for value in table[label].to_pylist()]
    return Raw(files, np.array(labels, np.int64))


def _files(images: Any) -> list[bytes | str]:
    """What each image is opened from: its bytes, else the file that stands beside them; without either it is empty."""
    if not pa.types.is_struct(images.type):
        return [item or b"" for item in images.to_pylist()]
    columns = [images.field(name).to_pylist() for name in ("bytes", "path") if images.type.get_field_index(name) >= 0]
    return [next(filter(None, row), b"") for row in zip(*columns, strict=True)]
