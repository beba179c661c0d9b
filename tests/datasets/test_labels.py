"""Label files: lists of positions as Semi-ViT has them, and tables of names and labels; what they mean and refuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sslkit.config import Data
from sslkit.data import decoding
from sslkit.data.csv_files import csv_text
from sslkit.data.splits import split
from sslkit.errors import UserError
from sslkit.prepare import Prepared, prepare
from sslkit.record.stages import stages
from tests.datasets.make import own, picture, pictures
from tests.kernel.make import CPU, TINY, images


def asked(root: Path, **keys: Any) -> Prepared:
    """The folder of `own`: training 0 to 5 cats, 6 to 11 dogs, 12 to 14 without a label; test 15 to 18."""
    return prepare(TINY | {"data": f"folder:{root}"} | {f"data.{key}": value for key, value in keys.items()})


def positions(file: str, listed: Sequence[object]) -> str:
    pd.DataFrame({"Index": listed}).to_csv(file, index=False)
    return f"index:{file}"


def named(text: str) -> str:
    Path("l.csv").write_text(text, "utf-8")
    return "file:l.csv"


# Positions.


@pytest.mark.parametrize("seed", [0, 1])
def test_the_listed_images_are_the_labelled_ones(seed: int, here: Path) -> None:
    found = images([6, 6], unlabeled=3)
    made = split(found, Data(labels=positions("i.csv", [7, 0, 3])), seed)
    assert sorted(made.labeled.tolist()) == [0, 3, 7]
    assert sorted(made.pool.tolist()) == sorted({*range(15)} - {0, 3, 7})
    assert made.test.tolist() == [15, 16, 17, 18]
    both = split(found, Data(labels="index:i.csv", pool="all"), seed)
    assert sorted(both.pool.tolist()) == list(range(15))


def test_the_files_that_pandas_writes_with_and_without_row_numbers(here: Path) -> None:
    found = images([6, 6])
    frame = pd.DataFrame({"Index": [4, 9]})
    for index, name in ((True, "a.csv"), (False, "b.csv")):
        frame.to_csv(name, index=index)
        assert sorted(split(found, Data(labels=f"index:{name}"), 0).labeled.tolist()) == [4, 9]
    Path("c.csv").write_text("4\n9\n")
    assert sorted(split(found, Data(labels="index:c.csv"), 0).labeled.tolist()) == [4, 9]


def test_the_order_in_the_file_is_nothing(here: Path) -> None:
    found = images([6, 6])
    first, other = (split(found, Data(labels=positions("i.csv", listed)), 0) for listed in ([1, 8, 2], [8, 2, 1]))
    assert np.array_equal(first.labeled, other.labeled)


def test_the_listed_pool(here: Path) -> None:
    found = images([6, 6], unlabeled=3)
    pool = positions("p.csv", [0, 8, 14])
    made = split(found, Data(labels=positions("i.csv", [0, 7]), pool=pool), 0)
    assert sorted(made.pool.tolist()) == [0, 8, 14], "as listed, a labelled image too"
    assert sorted(split(found, Data(labels="1/class", pool=pool), 3).pool.tolist()) == [0, 8, 14]


def test_validation_is_cut_from_the_listed_images(here: Path) -> None:
    found = images([6, 6])
    labels, pool = positions("i.csv", [0, 1, 2, 3, 6, 7, 8, 9]), positions("p.csv", list(range(12)))
    for chosen in ("complement", pool):
        made = split(found, Data(labels=labels, pool=chosen, val=0.25), 0)
        assert np.bincount(found.label[made.val]).tolist() == [1, 1]
        assert sorted([*made.labeled, *made.val]) == [0, 1, 2, 3, 6, 7, 8, 9]
        assert not np.isin(made.val, made.pool).any()


def test_tuning_hides_a_quarter_of_the_others(here: Path) -> None:
    found = images([16, 16])
    labels, pool = positions("i.csv", [0, 1, 2, 3, 16, 17, 18, 19]), positions("p.csv", list(range(32)))
    for chosen, size in (("complement", 18), (pool, 26)):
        made = split(found, Data(labels=labels, pool=chosen, tune=True), 100)
        assert sorted(made.labeled.tolist()) == [0, 1, 2, 3, 16, 17, 18, 19]
        assert np.bincount(found.label[made.test]).tolist() == [3, 3]
        assert made.test.max() < 32
        assert not np.isin(made.test, np.concatenate([made.labeled, made.pool])).any()
        assert len(made.pool) == size


WRONG: dict[str, tuple[Sequence[object], str]] = {
    "beyond the end": ([0, 15], "its column Index must hold positions from 0 to 14, it lists '15'"),
    "below 0": ([0, -1], "0 to 14, it lists '-1'"),
    "four of them": ([20, 21, 22, 23, 1], "it lists '20', '21', '22', …"),
    "twice": ([3, 7, 3], "lists position 3 more than once"),
    "no number": (["cat"], "it lists 'cat'"),
    "a fraction": ([0.5], "it lists '0.5'"),
    "too long a number": (["9" * 5000], "0 to 14"),
    "without a label": ([0, 14, 12], "2 of the listed images have no label, the first at 12"),
    "none": ([], "holds no row"),
}


@pytest.mark.parametrize("case", WRONG)
def test_positions_that_cannot_be(case: str, here: Path) -> None:
    listed, words = WRONG[case]
    labels = positions("i.csv", listed)
    with pytest.raises(UserError) as caught:
        split(images([6, 6], unlabeled=3), Data(labels=labels), 0)
    assert words in str(caught.value)
    assert "i.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_pool_may_hold_images_without_a_label_but_no_other_parts(here: Path) -> None:
    found = images([6, 6], unlabeled=3)
    assert split(found, Data(labels="1/class", pool=positions("p.csv", [13])), 0).pool.tolist() == [13]
    with pytest.raises(UserError, match="0 to 14, it lists '15'"):
        split(found, Data(labels="1/class", pool=positions("p.csv", [15])), 0)


def test_what_a_pool_may_be_is_said() -> None:
    with pytest.raises(ValueError, match=r"complement, all, index:FILE.csv or without:FILE.csv, got 'file:x'"):
        Data(pool="file:x")


# Names.


@pytest.mark.parametrize("first", ["path,label\n", "file,class,confidence\n", "label;name\n", ""])
def test_rows_are_matched_by_path_and_the_others_have_no_label(first: str, here: Path) -> None:
    own(here)
    rows = [("train/cat/cat1.png", "cat"), ("train/dog/dog0.png", "dog"), ("unlabeled/x2.png", "dog")]
    order = {"file,class,confidence\n": "{0},{1},0.5", "label;name\n": "{1};{0}"}.get(first, "{0},{1}")
    made = asked(here, labels=named(first + "\n".join(order.format(*row) for row in rows)))
    assert sorted(made.split.labeled.tolist()) == [1, 6, 14]
    assert made.images.label[:15].tolist() == [-1, 0, *[-1] * 4, 1, *[-1] * 7, 1]
    assert made.images.label[15:].tolist() == [0, 0, 1, 1]
    assert len(made.split.pool) == 12
    of = " in the column 'class'" if "class" in first else ""
    assert f"l.csv: 3 of 3 rows matched, labels are class names{of}, 3 labelled in training" in made.remarks


def test_a_file_name_alone_where_no_other_has_it_and_an_absolute_path(here: Path) -> None:
    own(here)
    rows = f"cat1.png,cat\n{here}/train/dog/dog2.png,dog\nown/unlabeled/x0.png,cat\n"
    assert sorted(asked(here, labels=named(rows)).split.labeled.tolist()) == [1, 8, 12]


def test_a_file_name_that_two_images_have_is_refused(here: Path) -> None:
    own(here)
    picture(here / "unlabeled/more/cat1.png", 0)
    with pytest.raises(UserError, match=r"1 of 2 rows match several images: 'cat1.png' \(line 1\); names"):
        asked(here, labels=named("cat1.png,cat\ndog1.png,dog\n"))
    assert 1 in asked(here, labels=named("train/cat/cat1.png,cat\ndog1.png,dog\n")).split.labeled


def test_numbers_are_places_in_the_classes_where_they_are_no_names(here: Path) -> None:
    own(here)
    made = asked(here, labels=named("cat1.png,0\ndog1.png,1\ncat2.png,-1\ncat3.png,\n"))
    assert made.images.label[[1, 2, 3, 7]].tolist() == [0, -1, -1, 1]
    assert any("class numbers" in remark for remark in made.remarks)
    for old, new in (("cat", "2"), ("dog", "0")):
        for part in ("train", "test"):
            (here / part / old).rename(here / part / new)
    made = asked(here, labels=named("cat1.png,2\ndog1.png,0\n"))
    assert made.images.classes == ["0", "2"]
    assert made.images.names[7] == "train/2/cat1.png"
    assert made.images.label[[7, 1]].tolist() == [1, 0]
    assert any("class names" in remark for remark in made.remarks)


def test_images_that_have_no_file_are_named_by_part_and_number(here: Path) -> None:
    rows = "".join(f"train image {i},{i % 10}\n" for i in range(0, 200, 7))
    made = prepare(TINY | {"data.labels": named(rows)})
    assert sorted(made.split.labeled.tolist()) == list(range(0, 200, 7))
    assert made.images.label[made.split.labeled].tolist() == (made.split.labeled % 10).tolist()


def test_rows_may_name_images_of_the_test_part(here: Path) -> None:
    own(here)
    made = asked(here, labels=named("cat1.png,cat\ndog1.png,dog\ntest/cat/t_cat0.png,dog\n"))
    assert made.images.label[15:].tolist() == [1, 0, 1, 1]
    assert sorted(made.split.labeled.tolist()) == [1, 7]


LOST = {
    "no image": ("a.png,cat\nb.png,cat\nc.png,cat\nd.png,cat\ncat1.png,cat\n", "4 of 5 rows match no image"),
    "all of them": (
        "a.png,cat\nb.png,cat\nc.png,cat\nd.png,cat\n",
        "(line 2), 'c.png' (line 3), 'd.png' (line 4); names are",
    ),
    "no class": (
        "cat1.png,cat\ndog1.png,cow\ndog2.png,Dog\n",
        "no class is called 'Dog' (line 3), 'cow' (line 2); classes are 'cat",
    ),
    "numbers from 1": ("cat1.png,1\ndog1.png,2\n", "no class is called '2'"),
    "names and numbers": ("cat1.png,cat\ndog1.png,1\n", "no class is called '1'"),
    "an image twice": (
        "cat1.png,cat\ndog1.png,dog\ntrain/cat/cat1.png,dog\ndog1.png,cat\n",
        "2 images several labels: 'train/cat/cat1.png' ('cat' in line 1, 'dog' in line 3), 'train/dog/dog1.png' (",
    ),
    "the test alone": ("t_cat0.png,cat\n", "names no image of the training part"),
    "no label": ("path\ncat1.png\n", "needs the columns path, label"),
}


@pytest.mark.parametrize("case", LOST)
def test_rows_that_cannot_be(case: str, here: Path) -> None:
    own(here)
    text, words = LOST[case]
    with pytest.raises(UserError) as caught:
        asked(here, labels=named(text))
    assert words in str(caught.value)
    assert "l.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_are_read_before_the_images_are_decoded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(here)
    monkeypatch.setattr(decoding, "decode", lambda *_: pytest.fail("decoded first"))
    for key, value in (("labels", "index:gone.csv"), ("labels", "file:gone.csv"), ("pool", "index:gone.csv")):
        with pytest.raises(UserError, match=r"cannot read gone.csv: No such file"):
            asked(here, **{key: value} if key == "labels" else {"labels": "1/class", key: value})


# What is in the files is in the keys of the stages.


def keys(prepared: Prepared) -> dict[str, str]:
    return {stage.label: stage.spec.key for stage in stages(prepared, CPU)}


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("cat1.png,cat\ndog1.png,dog\n", "cat2.png,cat\ndog1.png,dog\n"),  # another image
        ("cat1.png,cat\ndog1.png,dog\n", "cat1.png,dog\ndog1.png,cat\n"),  # the same images with other labels
    ],
)
def test_a_changed_table_changes_the_stages(first: str, other: str, here: Path) -> None:
    own(here)
    before, same, after = (keys(asked(here, labels=named(text))) for text in (first, first, other))
    assert before == same
    assert not {*before.values()} & {*after.values()}


def test_changed_lists_change_the_stages(here: Path) -> None:
    own(here)
    lists = [([0, 6], [3, 4]), ([0, 6], [3, 4]), ([0, 7], [3, 4]), ([0, 6], [3, 5])]
    found = [keys(asked(here, labels=positions("i.csv", i), pool=positions("p.csv", p))) for i, p in lists]
    assert found[0] == found[1]
    assert not {*found[0].values()} & {*found[2].values()}
    assert found[0]["finetune"] == found[3]["finetune"], "which has no pool"
    assert found[0]["semi"] != found[3]["semi"]


@pytest.mark.parametrize("kind", ["file", "csv"])
def test_a_backslash_is_a_letter_of_a_name_that_has_one(kind: str, here: Path) -> None:
    """Whatever an audit writes is read back; a path as Windows writes it is found, too."""
    classes = ["a\\b", "a", "c"]
    pictures(here / "d", [f"train/{c}/{i}.png" for c in classes for i in range(3)])
    pictures(here / "d", [f"train/a/b/{i}.png" for i in range(3)] + ["test/a/t.png", "test/c/t.png"])
    names = [f"train/{c}/{i}.png" for c in [*classes, "a/b"] for i in range(3)]
    labels = [name.split("/")[1] for name in names]
    written = [name.replace("/", "\\") if "/c/" in name else name for name in names]
    rows = [["path", "label"], *map(list, zip(written, labels, strict=True))]
    table = here / ("d/all.csv" if kind == "csv" else "l.csv")
    table.write_text(csv_text(rows), "utf-8")
    data = {"data": f"csv:{table}"} if kind == "csv" else {"data": "folder:d", "data.labels": f"file:{table}"}
    made = prepare(TINY | {"data.labels": "all"} | data)
    found = {name: made.images.classes[c] for name, c in zip(made.images.names, made.images.label, strict=True)}
    assert {name: found[name] for name in names} == dict(zip(names, labels, strict=True))
