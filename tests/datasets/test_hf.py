"""`hf:NAME`: what is asked of the package `datasets`, by a stand-in for it, and by itself where it is installed."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sslkit.data.decoding import decode
from sslkit.errors import UserError
from tests.datasets.make import held, picture, read

ABOUT = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["b", "a"]}}}})}
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), shade).save(file, "png")
    return file.getvalue()


def rows(images: list[dict[str, Any]], label: list[int]) -> Any:
    return pa.table({"image": pa.array(images, IMAGE), "label": label})


class Part:
    """As much of `datasets.Dataset` as is used: rows without metadata, class names in the features."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.features = SimpleNamespace(arrow_schema=table.schema.with_metadata(ABOUT))

    def with_format(self, name: str) -> Part:
        assert name == "arrow"
        return self

    def __getitem__(self, chosen: slice) -> Any:
        return self.table.slice(*chosen.indices(len(self.table))[:2])


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Puts a package in the place of `datasets` that loads what is given, or raises it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "")  # so that it is as before afterwards
    monkeypatch.delenv("HF_HUB_OFFLINE")
    module = ModuleType("datasets")
    monkeypatch.setitem(sys.modules, "datasets", module)

    def give(found: Any) -> None:
        def load_dataset(name: str) -> Any:
            assert name == "someone/pets"
            if isinstance(found, Exception):
                raise found
            return found

        module.load_dataset = load_dataset  # type: ignore[attr-defined]

    return give


def test_parts_classes_and_images(package: Callable[[Any], None], here: Path) -> None:
    """Bytes where there are any, else the file that the package names."""
    file = str(picture(here / "kept.png", 250))
    train = rows([{"bytes": png(3), "path": "x.png"}, {"bytes": None, "path": file}], [1, -1])
    package({"train": Part(train), "validation": Part(rows([{"bytes": png(9), "path": None}], [0]))})
    found = decode(*read("hf", name="someone/pets"), 8)
    assert found.classes == ["b", "a"]
    assert found.label.tolist() == [1, -1, 0]
    assert held(found)[:, 0, 0, 0].tolist() == [3, 250, 9]
    assert found.names == ["train image 0", file, "test image 0"]


def test_test_beats_validation(package: Callable[[Any], None]) -> None:
    part = rows([{"bytes": png(3), "path": None}], [0])
    package({"train": Part(part), "validation": Part(part), "test": Part(pa.concat_tables([part, part]))})
    assert len(read("hf", name="someone/pets")[2].images) == 2


@pytest.mark.parametrize("download", [False, True])
def test_the_hub_is_asked_only_for_a_download(download: bool, package: Callable[[Any], None]) -> None:
    package(ConnectionError("Couldn't reach the hub\nat all"))
    with pytest.raises(UserError) as caught:
        read("hf", name="someone/pets", download=download)
    assert os.environ.get("HF_HUB_OFFLINE") == (None if download else "1")
    assert "hf:someone/pets cannot be loaded: ConnectionError: Couldn't reach the hub" in str(caught.value)
    assert ("--download" in str(caught.value)) != download
    assert "\n" not in str(caught.value)


def test_without_a_test_part(package: Callable[[Any], None]) -> None:
    package({"train": Part(rows([{"bytes": png(3), "path": None}], [0]))})
    _, train, test = read("hf", name="someone/pets")
    assert (len(train.images), len(test.images)) == (1, 0)
    package({"other": Part(rows([{"bytes": png(3), "path": None}], [0]))})
    with pytest.raises(UserError, match=r"must have a part train, it has \['other'\]"):
        read("hf", name="someone/pets")


def test_the_part_without_labels(package: Callable[[Any], None]) -> None:
    one = Part(rows([{"bytes": png(3), "path": None}], [0]))
    package({"train": one, "unsupervised": Part(rows([{"bytes": png(5), "path": None}], [-1])), "test": one})
    assert read("hf", name="someone/pets")[1].label.tolist() == [0, -1]


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="pip install datasets"):
        read("hf", name="someone/pets")


def test_a_folder_by_the_package_itself(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(here / "home"))
    pytest.importorskip("datasets")
    (here / "pets").mkdir()
    for part in ("train", "test"):
        table = rows([{"bytes": png(i), "path": None} for i in range(3)], [1, 0, 1])
        features = {
            "image": {"_type": "Image"},
            "label": {"names": ["b", "a"], "_type": "ClassLabel"},
        }
        about = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(table.replace_schema_metadata(about), here / "pets" / f"{part}.parquet")
    found = decode(*read("hf", name=str(here / "pets")), 8)
    assert found.classes == ["b", "a"]
    assert found.label.tolist() == [1, 0, 1] * 2
    assert held(found)[:, 0, 0, 0].tolist() == [0, 1, 2] * 2
