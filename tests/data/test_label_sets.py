"""Sets of labels: as they are read from tables, and who of such images is labelled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sslkit.data import Images, label_sets
from sslkit.data.label_sets import EMPTY
from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.data.mosaics import NAMES, mosaics


def at(rows: list[int]) -> str:
    return f"rows {rows}"


@pytest.mark.parametrize(
    ("cells", "sets"),
    [
        (["dog;cat", "cat", "", ";"], ["cat;dog", "cat", "", EMPTY]),
        (["dog | cat", "a,b|c"], ["cat;dog", "a,b;c"]),  # the first mark alone
        (["dog,cat,dog", "-1", "nan"], ["cat;dog", "", ""]),
        (['["dog", "cat"]', "[]", "[2, 10]"], ["cat;dog", EMPTY, "2;10"]),
        (["10;9"], ["9;10"]),
    ],
)
def test_cells(cells: list[str], sets: list[str]) -> None:
    assert label_sets.of_cells(cells, "t.csv", at) == sets


def test_columns_of_0_and_1() -> None:
    rows = [["1", "0", "1"], ["0", "0", "0"], ["", "", ""], ["TRUE", "1.0", "false"]]
    assert label_sets.of_columns(["b", "a", "c"], rows, "t.csv", at) == ["b;c", EMPTY, "", "a;b"]
    for wrong in (["1", "", "0"], ["1", "2", "0"]):
        with pytest.raises(UserError, match=r"must hold 0 and 1.*rows \[1\]"):
            label_sets.of_columns(["b", "a", "c"], [rows[0], wrong], "t.csv", at)


@pytest.mark.parametrize(
    ("cells", "said"), [(["[{}]"], "a list of labels in JSON"), (["a;b|c"], "'a;b' has a semicolon")]
)
def test_what_is_no_set_is_refused(cells: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        label_sets.of_cells(cells, "t.csv", at)


def test_rows_of_one_image_are_one_set() -> None:
    found = label_sets.merged(["a", "b", "a", "c"], ["cat", "", "dog;cat", EMPTY], "t.csv")
    assert found == ["cat;dog", "", "cat;dog", EMPTY]


def chosen(labels: str, label: np.ndarray, sets: list[str], seed: int = 0) -> set[int]:
    return {*label_sets.chosen(labels, np.arange(len(label)), label, sets, seed).tolist()}


def test_labels_by_class_are_nested_and_enough() -> None:
    sets, draw = ["a", "a;b", "b;c", EMPTY, "c"], np.random.default_rng(0)
    label = draw.integers(-1, len(sets), 400)
    names = label_sets.named(sets)
    has = label_sets.table(sets, names)
    assert (names, has.tolist()) == (["a", "b", "c"], [[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1]])
    before: set[int] = set()
    for n in (1, 4, 10):
        found = chosen(f"{n}/class", label, sets)
        assert before <= found
        counts = has[label[sorted(found)]].sum(0)
        assert (counts >= n).all()
        assert (label[sorted(found)] == 3).sum() == n, "of no class as many"
        assert len(found) <= 4 * n
        before = found
    total = [chosen(str(n), label, sets) for n in (5, 20, 80)]
    assert [len(found) for found in total] == [5, 20, 80]
    assert total[0] <= total[1] <= total[2]
    assert (has[label[sorted(total[0])]].sum(0) >= 1).all(), "each class comes early"
    shares = [chosen(f"{n}%", label, sets) for n in (1, 25, 100)]
    known = int((label >= 0).sum())
    assert [len(found) for found in shares] == [round(known / 100), round(known / 4), known]
    assert shares[0] <= shares[1]
    assert chosen("all", label, sets) == {*np.flatnonzero(label >= 0).tolist()}
    assert chosen("20", label, sets, seed=1) != total[1]


@pytest.mark.parametrize(
    ("labels", "said"),
    [("7/class", r"'b' \(2\)"), ("9", "wants more than the 8"), ("0/class", "must be like"), ("many", "must be like")],
)
def test_labels_that_there_are_not(labels: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        chosen(labels, np.array([0, 0, 0, 0, 0, 0, 1, 1, -1]), ["a", "a;b"])


def test_a_share_of_groups_is_whole_ones() -> None:
    groups = np.repeat(np.arange(20), 5)
    found = label_sets.share_of(np.arange(100), 0.2, groups, 0, "val")
    assert len(found) == 20
    assert {*np.bincount(groups[found], minlength=20).tolist()} == {0, 5}
    assert len(label_sets.share_of(np.arange(100), 0.2, None, 0, "val")) == 20


@pytest.mark.parametrize("form", ["labels.csv", "hot.csv", "long.csv", "parquet"])
def test_every_form_gives_the_same_images(tmp_path: Path, form: str) -> None:
    made = mosaics(tmp_path, 120)
    data = f"parquet:{tmp_path / 'p'}" if form == "parquet" else f"csv:{tmp_path / form}"
    prepared = prepare({"data": data, "data.multilabel": True, "data.labels": "10/class"})
    images = prepared.images
    assert images.classes == sorted(NAMES)
    order = [NAMES.index(name) for name in images.classes]
    for i, name in enumerate(images.names):
        number = int(Path(str(name).replace("row ", "")).stem.split()[-1])
        row = number + 96 if form == "parquet" and str(name).startswith("test") else number
        assert images.targets[i].tolist() == made[row, order].tolist(), name
    places = prepared.split
    assert len(places.test) == 24
    assert not {*places.labeled.tolist()} & {*places.test.tolist()}
    assert min(images.counts(places.labeled)) >= 10


def test_labels_of_a_file_for_a_folder(tmp_path: Path) -> None:
    made = mosaics(tmp_path, 60)
    asked = {"data": f"folder:{tmp_path / 'im'}", "data.labels": f"file:{tmp_path / 'some.csv'}"}
    (tmp_path / "some.csv").write_text("\n".join((tmp_path / "labels.csv").read_text().splitlines()[:41]))
    prepared = prepare({**asked, "data.multilabel": True})
    known = (prepared.images.targets >= 0).all(1)
    assert int(known.sum()) == 40, "the others have no labels, and are the pool"
    places = prepared.split
    assert (len(places.labeled), len(places.pool), len(places.test)) == (32, 20, 8), "a fifth is set aside"
    names = [int(Path(str(name)).stem) for name in prepared.images.names]
    order = [NAMES.index(name) for name in prepared.images.classes]
    assert prepared.images.targets[known].tolist() == made[names][:, order][known].tolist()


REFUSED = [
    ({"data.imbalance": "10"}, "imbalance is for images of one class"),
    ({"data.class_weights": "auto"}, "class_weights is for images of one class"),
    ({"algo": "flexmatch"}, "'flexmatch' knows one class an image"),
    ({"algo": "ema_teacher", "labeler": "softmatch"}, "labeler 'softmatch' knows one class an image"),
    ({"algo": "ema_teacher", "mixer": "prob_pseudo"}, "several labels need --mixer none"),
    ({"finetune.mixup": 0.8}, "finetune.mixup mixes images of one class"),
]


@pytest.mark.parametrize(("keys", "said"), REFUSED)
def test_what_knows_one_class_is_refused(tmp_path: Path, keys: dict[str, object], said: str) -> None:
    mosaics(tmp_path, 30)
    with pytest.raises(UserError, match=said):
        prepare({"data": f"csv:{tmp_path / 'labels.csv'}", "data.multilabel": True, "data.labels": "all", **keys})


def test_a_data_set_of_one_class_each_is_refused() -> None:
    with pytest.raises(UserError, match="'digits' has one class an image"):
        prepare({"data": "digits", "data.multilabel": True})


def test_the_names_of_what_is_shown() -> None:
    """Of an image without a label none: -1 is no place among the classes."""
    label = np.array([1, -1, 0, -2])
    images = Images(np.zeros((4, 3, 1, 1), np.uint8), label, 4, ["x", "y"], "", list("abcd"))
    assert images.named(np.arange(4)) == ["y", "", "x", ""]
    sets = label_sets.apart(replace(images, classes=[EMPTY, "x;y"]))
    assert sets.named(np.arange(4)) == ["x, y", "", "", ""]


def test_marks_that_are_mixed_and_a_column_without_a_1(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="semicolon"):
        label_sets.of_cells(["cat|dog", "cat;dog"], "t.csv", at)
    with pytest.raises(UserError, match="labels have ';' between them, but 'cat,dog' has ','"):
        label_sets.of_cells(["cat;dog", "cat,dog", "dog"], "t.csv", at)
    assert label_sets.of_cells(["cat;sit, dog", "dog"], "t.csv", at) == ["cat;sit, dog", "dog"], "a comma of its own"
    assert label_sets.never(["a", "b"], [["1", "0"], ["0", ""]]) == ["b"]
    mosaics(tmp_path, 20)
    (tmp_path / "t.csv").write_text("path,a,b\nim/0000.png,1,0\nim/0001.png,0,0\n")
    with pytest.raises(UserError, match="no 1 in the column b"):
        prepare(
            {"data": f"csv:{tmp_path / 't.csv'}", "data.multilabel": True, "data.label": "a,b", "data.labels": "all"}
        )


def test_records_with_an_empty_list_have_none_of_the_classes(tmp_path: Path) -> None:
    mosaics(tmp_path, 20)
    sets = [["a"], [], None, ["b", "a"]]
    records = [{"path": f"im/{i:04d}.png", "label": sets[i % 4]} for i in range(20)]
    (tmp_path / "t.json").write_text(json.dumps(records))
    prepared = prepare({"data": f"csv:{tmp_path / 't.json'}", "data.multilabel": True, "data.labels": "all"})
    found = {str(n): t for n, t in zip(prepared.images.names, prepared.images.targets.tolist(), strict=True)}
    assert [found[f"im/{i:04d}.png"] for i in range(4)] == [[1, 0], [0, 0], [-1, -1], [1, 1]]
