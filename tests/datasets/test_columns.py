"""Which column is what, drawn: names, types and neighbours of columns, in parquet, CSV and files of labels."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.datasets.make import pictures, read
from tests.datasets.test_parquet import png

NAMES = ["été", "a b", "cat", "dog", "10", "2", "true"]
USUAL = ["label", "labels", "target", "class", "y", "Label", "CLASS"]


def rows(draw: random.Random, classes: int, n: int = 12) -> list[int]:
    """Numbers of classes, each at least twice."""
    return draw.sample([*range(classes)] * 2 + draw.choices(range(classes), k=n - 2 * classes), n)


def table(label: dict[str, Any], n: int, names: dict[str, list[str]] | None = None, more: Any = None) -> Any:
    made = pa.table({"image": [png(i) for i in range(n)], **(more or {}), **label})
    if names:
        about = {"info": {"features": {column: {"names": own} for column, own in names.items()}}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(about)})
    return made


def write(root: Path, part: str, made: Any) -> None:
    root.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, root / f"{part}.parquet")


def as_words(classes: list[str], raw: Any) -> list[str | None]:
    return [None if c < 0 else classes[c] for c in raw.label]


@pytest.mark.parametrize("seed", range(12))
def test_a_usual_name_wins_whatever_its_type_and_neighbours(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    wanted = rows(draw, 3)
    kind = draw.choice(["int", "gap", "word", "bool", "dictionary"])
    if kind == "bool":
        wanted = [w % 2 for w in wanted]
    told: dict[str, list[Any]] = {
        "int": wanted,
        "gap": [float(w) for w in wanted[:-1]] + [None],  # as pandas has whole numbers where one is missing
        "word": [NAMES[w] for w in wanted],
        "bool": [bool(w) for w in wanted],
        "dictionary": [NAMES[w] for w in wanted],
    }
    values = pa.array(told[kind])
    values = values.dictionary_encode() if kind == "dictionary" else values
    neighbours = {"site": [draw.choice("xy") for _ in wanted], "width": [i % 4 for i in range(len(wanted))]}
    name = draw.choice(USUAL)
    write(tmp_path, "train", table({name: values}, len(wanted), more=neighbours))
    write(tmp_path, "test", table({name: values}, len(wanted), more=neighbours))
    classes, train, test = read("parquet", dir=str(tmp_path))
    shown = {"gap": lambda v: None if v is None else str(int(v))}.get(kind, str)
    assert as_words(classes, train) == as_words(classes, test) == [shown(v) for v in told[kind]]


@pytest.mark.parametrize("seed", range(8))
def test_the_only_candidate_is_taken_and_several_are_a_question(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    wanted = rows(draw, 3)
    species = [NAMES[w] for w in wanted]
    one = {"file_name": [f"{i}.jpg" for i in range(12)], "camera": ["c1"] * 12, "taken": [i / 7 for i in range(12)]}
    for part in ("train", "test"):
        write(tmp_path / "one", part, table({"species": species}, 12, more=one))
        write(
            tmp_path / "two",
            part,
            table({"species": species}, 12, more=one | {"site": [draw.choice("xyz") for _ in wanted]}),
        )
    made = prepare({"data": f"parquet:{tmp_path / 'one'}", "data.labels": "1/class", "backbone": "vit_micro"})
    said = [remark for remark in made.remarks if "labels are the column 'species'" in remark]
    assert said
    assert all(name in said[0] for name in {*species})
    with pytest.raises(UserError, match=r"which of the columns has the labels: .*site \(\d values\).*data.label="):
        read("parquet", dir=str(tmp_path / "two"))
    classes, train, _ = read("parquet", dir=str(tmp_path / "two"), label="SPECIES")
    assert as_words(classes, train) == species
    with pytest.raises(UserError, match=r"data.label: .*unknown column 'specie', did you mean 'species'"):
        read("parquet", dir=str(tmp_path / "two"), label="specie")


@pytest.mark.parametrize("seed", range(8))
def test_every_file_is_read_with_its_own_names(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    names = NAMES[: draw.randint(2, len(NAMES))]
    truth: dict[str, list[str]] = {}
    first: list[str] = []
    for part in ("train-0", "train-1", "test"):
        order = draw.sample(names, len(names))
        first = first or order
        numbers = rows(draw, len(names), 16)
        truth[part] = [order[i] for i in numbers]
        write(tmp_path, part, table({"label": numbers}, 16, {"label": order}))
    classes, train, test = read("parquet", dir=str(tmp_path))
    assert classes == first
    assert as_words(classes, train) == truth["train-0"] + truth["train-1"]
    assert as_words(classes, test) == truth["test"]


def test_a_file_without_names_means_those_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, "train", table({"label": [0, 1, 1, 0]}, 4, {"label": ["b", "a"]}))
    write(tmp_path, "test", table({"label": [1, 0]}, 2))
    classes, _, test = read("parquet", dir=str(tmp_path))
    assert as_words(classes, test) == ["a", "b"]


def test_files_that_differ_in_the_type_of_labels_are_named(tmp_path: Path) -> None:
    write(tmp_path, "train-0", table({"label": [0, 1]}, 2))
    write(tmp_path, "train-1", table({"label": ["a", "b"]}, 2))
    with pytest.raises(UserError, match=r"'label' holds numbers in .*train-0.parquet, and words in .*train-1.parquet"):
        read("parquet", dir=str(tmp_path))
    write(tmp_path, "train-1", table({"label": pa.array([1, 0], pa.int8())}, 2))
    assert read("parquet", dir=str(tmp_path))[1].label.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("named", [True, False])
def test_a_column_says_what_is_test(named: bool, tmp_path: Path) -> None:
    column = "part" if named else "split"
    split = ["train", "TEST", "Training", "val", "test", "train"]
    write(tmp_path, "all", table({"label": [0, 1, 1, 0, 0, 0]}, 6, more={column: split, "patient": [*"aabbcc"]}))
    options = {"split": "part"} if named else {}
    _, train, test = read("parquet", dir=str(tmp_path), label="label", **options)
    assert (train.label.tolist(), test.label.tolist()) == ([0, 1, 0], [1, 0])
    assert [*train.groups] == ["a", "b", "c"]


def test_several_columns_of_images_are_a_question(tmp_path: Path) -> None:
    both = {"left": [png(1), png(2)], "right": [png(3), png(4)], "label": [0, 1]}
    for part in ("train", "test"):
        pq.write_table(pa.table(both), tmp_path / f"{part}.parquet")
    with pytest.raises(UserError, match="which of the columns has the images: left, right"):
        read("parquet", dir=str(tmp_path))
    assert read("parquet", dir=str(tmp_path), image="right")[1].images == [png(3), png(4)]
    with pytest.raises(UserError, match="'label' holds no images"):
        read("parquet", dir=str(tmp_path), image="label")


def csv(root: Path, header: list[str], lines: list[list[str]], name: str = "t.csv") -> Path:
    file = root / name
    file.write_text("".join(",".join(row) + "\n" for row in [header, *lines]))
    return file


@pytest.mark.parametrize("seed", range(6))
def test_tables_in_text_have_the_same_rule(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    pictures(tmp_path, [f"{i}.png" for i in range(12)])
    wanted = [NAMES[w] for w in rows(draw, 3)]
    site = [draw.choice(["x", "z"]) for _ in wanted]
    lines = [[f"{i}.png", s, w, f"{i / 7:.3f}"] for i, (s, w) in enumerate(zip(site, wanted, strict=True))]
    file = csv(tmp_path, ["image", "site", "species", "taken"], lines)
    with pytest.raises(UserError, match=r"which of the columns has the labels: site .*species"):
        read("csv", file=str(file))
    classes, train, _ = read("csv", file=str(file), label="species")
    assert as_words(classes, train) == wanted
    only = csv(tmp_path, ["image", "camera", "species", "taken"], [[a, "c1", c, d] for a, _, c, d in lines], "o.csv")
    made = prepare({"data": f"csv:{only}", "data.labels": "1/class", "backbone": "vit_micro"})
    assert any("labels are the column 'species', 3 classes" in remark for remark in made.remarks)
    (tmp_path / "flat").mkdir()
    pictures(tmp_path / "flat", [f"{i}.png" for i in range(12)])
    labels = {"data": f"folder:{tmp_path / 'flat'}", "data.labels": f"file:{file}", "backbone": "vit_micro"}
    with pytest.raises(UserError, match="which of the columns has the labels"):
        prepare(labels)
    images = prepare({**labels, "data.label": "species"}).images
    known = {Path(name).name: images.classes[c] for name, c in zip(images.names, images.label, strict=True) if c >= 0}
    assert known == {f"{i}.png": w for i, w in enumerate(wanted)}


def test_whole_numbers_as_pandas_writes_them(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{i}.png" for i in range(4)])
    file = csv(tmp_path, ["path", "label"], [["0.png", "1.0"], ["1.png", "0.0"], ["2.png", ""], ["3.png", "10.0"]])
    classes, train, _ = read("csv", file=str(file))
    assert classes == ["0", "1", "10"]
    assert train.label.tolist() == [1, 0, -1, 2]


def test_a_label_that_is_called_as_a_column_is_no_header(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{i}.png" for i in range(4)])
    (tmp_path / "t.csv").write_text("0.png,y\n1.png,n\n2.png,y\n3.png,n\n")
    classes, train, _ = read("csv", file=str(tmp_path / "t.csv"))
    assert as_words(classes, train) == ["y", "n", "y", "n"]


def test_data_without_columns_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data set 'digits' has no use for data\.label"):
        prepare({"data": "digits", "data.label": "x", "backbone": "vit_micro"})
