"""What columns of a table hold, drawn: types and text of labels, columns of 0 and 1, files without some, groups."""

from __future__ import annotations

import decimal
import json
import random
import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest

from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.datasets.make import pictures, read
from tests.datasets.test_columns import as_words, csv, rows, table, write
from tests.datasets.test_parquet import png

Words = list[str | None]
WORDS = ["été", "a b", "cat", "dog", "Zoë", "b"]
NUMBERS = ["2", "10", "0", "7", "33"]
N = 12


def gaps(words: Words, of: Callable[[str], Any]) -> list[Any]:
    return [None if word is None else of(word) for word in words]


# how a program may store labels: of words, of numbers, of both
STORED: dict[str, Callable[[Words], Any]] = {
    "word": lambda w: pa.array(w, pa.string()),
    "large": lambda w: pa.array(w, pa.large_string()),
    "bytes": lambda w: pa.array(gaps(w, str.encode), pa.binary()),
    "large bytes": lambda w: pa.array(gaps(w, str.encode), pa.large_binary()),
    "category": lambda w: pa.array(w).dictionary_encode(),
    "spaces": lambda w: pa.array(gaps(w, lambda x: f" {x} ")),
    "apart": lambda w: pa.array(gaps(w, lambda x: unicodedata.normalize("NFD", x))),
    "empty": lambda w: pa.array([x or "" for x in w]),
    "nan": lambda w: pa.array([x or "nan" for x in w]),
    "list": lambda w: pa.array([[x] if x else [] for x in w], pa.list_(pa.string())),
    "fixed list": lambda w: pa.array([[x] for x in w], pa.list_(pa.string(), 1)),
}


def whole(kind: pa.DataType, wanted: Words) -> Any:
    return pa.array(gaps(wanted, int), kind)


OF_NUMBERS: dict[str, Callable[[Words], Any]] = {
    **{str(kind): partial(whole, kind) for kind in (pa.int8(), pa.uint64(), pa.int32())},
    "float": lambda w: pa.array([float(x or "nan") for x in w]),
    "float32": lambda w: pa.array(gaps(w, float), pa.float32()),
    "half": lambda w: pa.array(np.array([float(x or "nan") for x in w], np.float16)),
    "decimal": lambda w: pa.array(gaps(w, decimal.Decimal), pa.decimal128(5, 2)),
    "-1": lambda w: pa.array([int(x or "-1") for x in w]),
    "-1.0": lambda w: pa.array([float(x or "-1") for x in w]),
    "1.0": lambda w: pa.array(gaps(w, lambda x: f"{x}.0")),
    "1 and 1.0": lambda w: pa.array([f"{x}{'.0' * (i % 2)}" if x else None for i, x in enumerate(w)]),
    "NA": lambda w: pa.array([x or "NA" for x in w]),
    "categories of numbers": lambda w: pa.array(gaps(w, int)).dictionary_encode(),
}


def drawn(draw: random.Random, names: Sequence[str]) -> Words:
    some = draw.sample(names, 3)
    return [some[c] if draw.random() > 0.2 else None for c in rows(draw, 3, N)]


@pytest.mark.parametrize("stored", [*STORED, *(f"number {name}" for name in (*STORED, *OF_NUMBERS))])
def test_labels_are_what_was_meant_however_they_are_stored(stored: str, tmp_path: Path) -> None:
    draw = random.Random(stored)
    number = stored.startswith("number ")
    wanted = drawn(draw, NUMBERS if number else WORDS)
    as_stored = (STORED | OF_NUMBERS)[stored.removeprefix("number ")](wanted)
    label = draw.choice(["label", "y", "species"])
    beside = {"camera": [f"c{i}" for i in range(N)], "taken": [i / 7 for i in range(N)]}
    write(tmp_path, "all", table({label: as_stored}, N, more=beside))
    classes, train, _ = read("parquet", dir=str(tmp_path))
    assert as_words(classes, train) == wanted
    assert classes == sorted({word for word in wanted if word}, key=lambda word: int(word) if number else word)


@pytest.mark.parametrize("seed", range(6))
def test_a_candidate_of_any_type_is_one_of_several(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    wanted, stored = drawn(draw, NUMBERS), draw.choice([*OF_NUMBERS.values()])
    write(tmp_path, "all", table({"species": stored(wanted)}, N, more={"site": [*"xz"] * 6}))
    with pytest.raises(UserError, match=r"which of the columns has the labels: site \(2 values\), species"):
        read("parquet", dir=str(tmp_path))


ONES: dict[str, Callable[[bool], Any]] = {"int": int, "float": float, "bool": bool, "text": lambda x: str(int(x))}


def hf(monkeypatch: pytest.MonkeyPatch, made: Any) -> dict[str, str]:
    """`hf:x` by a stand-in for the package that holds one table."""

    class Part:
        features = SimpleNamespace(arrow_schema=made.schema)

        def with_format(self, _: str) -> Part:
            return self

        def __getitem__(self, _: slice) -> Any:
            return made

    module = ModuleType("datasets")
    module.load_dataset = lambda _: {"train": Part()}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return {"name": "x"}


@pytest.mark.parametrize("place", ["parquet", "hf", "csv"])
@pytest.mark.parametrize("kind", ONES)
def test_one_column_a_class(kind: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(f"{kind}{place}")
    names = draw.sample(["été", "cat", "dog", "bird"], 3)
    wanted = [names[c] for c in rows(draw, 3, N)]
    hot = {name: [ONES[kind](name == word) for word in wanted] for name in names}
    beside = {"taken": [i / 7 for i in range(N)]}

    def given(columns: dict[str, list[Any]]) -> dict[str, str]:
        if place == "csv":
            pictures(tmp_path, [f"{i}.png" for i in range(N)])
            head = ["path", *columns]
            lines = [[f"{i}.png", *map(str, cells)] for i, cells in enumerate(zip(*columns.values(), strict=True))]
            return {"file": str(csv(tmp_path, head, lines))}
        made = table(columns, N)
        write(tmp_path, "all", made)
        return {"dir": str(tmp_path)} if place == "parquet" else hf(monkeypatch, made)

    options = given(beside | hot)
    classes, train, _ = read(place, **options)
    assert as_words(classes, train) == wanted
    classes, train, _ = read(place, **options, label=",".join(names).upper() if place == "csv" else ",".join(names))
    assert as_words(classes, train) == wanted
    with pytest.raises(UserError, match=r"which of the columns has the labels: site \(2 values\), or .*, one a class"):
        read(place, **given(hot | {"site": [*"xz"] * 6}))
    twice = hot | {names[0]: [ONES[kind](True)] * N}
    with pytest.raises(UserError, match=r"not exactly one 1 among the columns .* in (rows|lines) \d.*an image has one"):
        read(place, **given(twice))
    with pytest.raises(UserError, match="unknown column 'fish'"):
        read(place, **options, label=f"{names[0]},fish")


def test_two_columns_with_names_for_0_and_1_are_no_columns_a_class(tmp_path: Path) -> None:
    bits = {"sick": [0, 1] * 6, "old": [0, 0, 1] * 4}
    write(tmp_path, "all", table(bits, N, {"sick": ["no", "yes"], "old": ["no", "yes"]}))
    with pytest.raises(UserError, match=r"which of the columns has the labels: sick \(2 values\), old \(2 values\)"):
        read("parquet", dir=str(tmp_path))


@pytest.mark.parametrize("lacking", ["train-0", "train-1", "test"])
def test_a_file_without_the_column_of_labels_has_none_and_that_is_said(lacking: str, tmp_path: Path) -> None:
    for part in ("train-0", "train-1", "test"):
        write(tmp_path, part, table({} if part == lacking else {"label": ["b", "a", "b"]}, 3))
    classes, train, test = read("parquet", dir=str(tmp_path))
    found = dict(zip(("train-0", "train-1", "test"), np.split(np.array([*train.label, *test.label]), 3), strict=True))
    assert classes == ["a", "b"]
    assert {part: own.tolist() for part, own in found.items()} == {
        part: [-1] * 3 if part == lacking else [1, 0, 1] for part in found
    }
    request = {"data": f"parquet:{tmp_path}", "data.labels": "1/class", "backbone": "vit_micro"}
    told = f"{tmp_path / lacking}.parquet has no column 'label': its 3 images have no label"
    assert told in prepare(request).remarks
    write(tmp_path, lacking, table({"kind": ["b", "a", "b"]}, 3))
    with pytest.raises(UserError, match=r"other columns than the other files: no 'label', but 'kind'"):
        read("parquet", dir=str(tmp_path))


@pytest.mark.parametrize("seed", range(3))
def test_folders_named_by_a_value_are_a_column(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    names = draw.sample(["a b", "été", "cat", "10", "a/b"], 3)
    column, part = draw.choice(["label", "species"]), draw.choice(["", "split="])
    for i, name in enumerate([*names, "__HIVE_DEFAULT_PARTITION__"]):
        word = quote(name, safe="")
        write(tmp_path / f"{part}train" / f"{column}={word}", "part-0", table({}, 2 + i))
    write(tmp_path / f"{part}test" / f"{column}={names[1]}".replace("/", "%2F"), "part-0", table({}, 3))
    classes, train, test = read("parquet", dir=str(tmp_path))
    assert as_words(classes, test) == [names[1]] * 3
    counts = {name: as_words(classes, train).count(name) for name in (*names, None)}
    assert counts == {names[0]: 2, names[1]: 3, names[2]: 4, None: 5}


def test_files_of_no_part_are_named(tmp_path: Path) -> None:
    for part in ("train", "test", "val", "old"):
        write(tmp_path, part, table({"label": [0, 1]}, 2))
    made = prepare({"data": f"parquet:{tmp_path}", "data.labels": "1/class", "backbone": "vit_micro"})
    assert any("1 train, 1 test files, not used: old.parquet, val.parquet" in remark for remark in made.remarks)


def test_labels_of_several_types_and_places_are_refused_by_name(tmp_path: Path) -> None:
    for column, words in (
        ({"label": [png(0), png(1)]}, "holds bytes that are no text, which is no class"),
        ({"label": [{"id": 1}, {"id": 2}]}, "holds {'id': 1}, which is no class"),
        ({"label": [[0, 1], [1, 0]]}, "row 0 has several labels"),
    ):
        write(tmp_path, "all", table(column, 2))
        with pytest.raises(UserError) as caught:
            read("parquet", dir=str(tmp_path))
        assert words in str(caught.value)
        assert len(str(caught.value)) < 300
    pictures(tmp_path, ["0.png", "1.png"])
    file = csv(tmp_path, ["path", "label"], [["0.png", "a"], ["1.png", "b"]])
    for place, options in (("csv", {"file": str(file), "image": "path"}), ("parquet", {"dir": str(tmp_path)})):
        same = "path" if place == "csv" else "image"
        with pytest.raises(UserError, match=f"data.image and data.label both name the column '{same}'"):
            read(place, **(options | {"image": same, "label": same}))


def test_names_of_a_list_of_labels(tmp_path: Path) -> None:
    about = {"info": {"features": {"label": {"feature": {"names": ["b", "a"]}, "_type": "Sequence"}}}}
    made = table({"label": [[0], [1], [1]]}, 3).replace_schema_metadata({"huggingface": json.dumps(about)})
    write(tmp_path, "all", made)
    classes, train, _ = read("parquet", dir=str(tmp_path))
    assert as_words(classes, train) == ["b", "a", "a"]


def test_masks_beside_the_images_are_said(tmp_path: Path) -> None:
    write(tmp_path, "all", table({"label": [0, 1] * 3, "mask": [png(i) for i in range(6)]}, 6))
    made = prepare({"data": f"parquet:{tmp_path}", "data.labels": "1/class", "backbone": "vit_micro"})
    assert any("images are the column 'image', not 'mask' (data.image names" in remark for remark in made.remarks)


@pytest.mark.parametrize("place", ["csv", "parquet", "file"])
def test_columns_that_are_not_used_are_said(place: str, tmp_path: Path) -> None:
    """As the one that says which images are for validation, where it does so in another way than by words."""
    columns = {"class": [*"ab"] * 6, "is_valid": [False] * 9 + [True] * 3, "id": [*range(N)], "target": [*"xy"] * 6}
    pictures(tmp_path / "i", [f"{i}.png" for i in range(N)])
    lines = [[f"{i}.png", *map(str, cells)] for i, cells in enumerate(zip(*columns.values(), strict=True))]
    file = csv(tmp_path / "i", ["path", *columns], lines)
    write(tmp_path / "p", "all", table(columns, N))
    request: dict[str, Any] = {
        "data": f"{place}:{file if place == 'csv' else tmp_path / 'p'}",
        "data.labels": "1/class",
    }
    if place == "file":
        request = {"data": f"folder:{tmp_path / 'i'}", "data.labels": f"file:{file.rename(tmp_path / 't.csv')}"}
    remarks = prepare({**request, "backbone": "vit_micro"}).remarks
    said = next(remark for remark in remarks if "the column 'target'" in remark)
    assert "; not 'class' (data.label names another)" in said
    assert ("; not used: is_valid" in said) == (place != "file")
