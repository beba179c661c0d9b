"""`csv:FILE`: columns by name or place, classes in words or numbers, and tables that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslkit.data import Raw
from sslkit.errors import UserError
from tests.datasets.make import decoded, held, pictures, read


def table(root: Path, text: str) -> tuple[list[str], Raw, Raw]:
    (root / "t.csv").write_text(text, "utf-8")
    return read("csv", file=str(root / "t.csv"))


def test_paths_are_relative_to_the_file(here: Path) -> None:
    pictures(here / "deep", ["x/a.png", "x/b.png", "c.png"])
    (here / "deep/t.csv").write_text(
        f"path,label,split\nx/a.png,cat,train\n{here}/deep/c.png,dog,train\nx/b.png,cat,test\n"
    )
    found = decoded("csv", 8, file="deep/t.csv")
    assert found.classes == ["cat", "dog"]
    assert found.label.tolist() == [0, 1, 0]
    assert held(found)[:, 0, 0, 0].tolist() == [0, 10, 5]
    assert found.names == ["x/a.png", f"{here}/deep/c.png", "x/b.png"]


SAME = {
    "other names": "image,class,split\na.png,x,train\nb.png,y,train\nc.png,x,test\n",
    "other order": "split;label;path\ntrain;x;a.png\ntrain;y;b.png\ntest;x;c.png\n",
    "unknown names": "split\tphoto\tspecies\ntrain\ta.png\tx\ntrain\tb.png\ty\ntest\tc.png\tx\n",
    "spaces and capitals": "Path, Label, Split\na.png , x, TRAIN\n\nb.png, y, Train\nc.png, x, Test\n",
    "marked as UTF-8": "\ufeffpath,label,split\na.png,x,train\nb.png,y,train\nc.png,x,test\n",
    "more columns": "id,path,note,label,split\n7,a.png,,x,train\n8,b.png,,y,train\n9,c.png,,x,test\n",
    "quoted": 'path,label,split\n"a.png","x",train\r\n"b.png",y,train\r\nc.png,x,test',
}


@pytest.mark.parametrize("case", SAME)
def test_tables_that_say_the_same(case: str, here: Path) -> None:
    classes, train, test = table(here, SAME[case])
    assert classes == ["x", "y"]
    assert (train.images, train.label.tolist()) == (["a.png", "b.png"], [0, 1])
    assert (test.images, test.label.tolist()) == (["c.png"], [0])


def test_numbers_are_in_their_order_and_empty_is_unlabelled(here: Path) -> None:
    rows = "a,10,train\nb,9,train\nc,,train\nd,-1,train\ne,9,val\nf,,val\n"
    classes, train, test = table(here, f"path,label,split\n{rows}")
    assert classes == ["9", "10"]
    assert train.label.tolist() == [1, 0, -1, -1]
    assert test.label.tolist() == [0, -1]


def test_words_beside_numbers_are_words(here: Path) -> None:
    assert table(here, "path,label,split\na,10,train\nb,9,train\nc,x,train\nd,9,test")[0] == ["10", "9", "x"]


@pytest.mark.parametrize("word", ["test", "val", "valid", "validation"])
def test_words_for_the_test_part(word: str, here: Path) -> None:
    assert table(here, f"path,label,split\na,x,train\nb,x,{word}\n")[2].images == ["b"]


SPARE = {
    "no split": "path,label\na,x\nb,y\nc,\n",
    "no names at all": "a,x\nb,y\nc,\n",
    "no test": "path,label,split\na,x,train\nb,y,Training\nc,,unlabeled\n",
}


@pytest.mark.parametrize("case", SPARE)
def test_without_a_test_part_all_rows_are_training(case: str, here: Path) -> None:
    classes, train, test = table(here, SPARE[case])
    assert classes == ["x", "y"]
    assert (train.images, train.label.tolist()) == (["a", "b", "c"], [0, 1, -1])
    assert not len(test.images)


def test_groups_are_those_of_their_column(here: Path) -> None:
    _, train, test = table(here, "path,label,patient,split\na,x,7,train\nb,y,8,train\nc,x,,train\nd,x,9,test\n")
    assert (train.groups, test.groups) == (["7", "8", "c"], ["9"])


def test_labels_with_spaces_and_commas_are_labels(here: Path) -> None:
    classes, train, _ = table(here, 'path,label\na,black cat\nb,cat\nc,"cat, old"\nd,black\n')
    assert classes == ["black", "black cat", "cat", "cat, old"]
    assert train.label.tolist() == [1, 2, 3, 0]


def test_paths_alone_have_no_labels(here: Path) -> None:
    classes, train, _ = table(here, "path\na.png\nb.png\n")
    assert (classes, train.images, train.label.tolist()) == ([], ["a.png", "b.png"], [-1, -1])


def test_test_beats_validation(here: Path) -> None:
    _, train, test = table(here, "path,label,split\na,x,train\nb,x,val\nc,x,test\n")
    assert (train.images, test.images) == (["a"], ["c"])


def test_paths_as_windows_writes_them(here: Path) -> None:
    assert table(here, "path,label\nx\\a.png,cat\nx\\b.png,dog\n")[1].images == ["x/a.png", "x/b.png"]


def test_a_table_in_utf_16(here: Path) -> None:
    (here / "t.csv").write_text("path\tlabel\na.png\tété\nb.png\t猫\n", "utf-16")
    assert read("csv", file="t.csv")[0] == ["été", "猫"]


@pytest.mark.parametrize("names", ["id,target", "image_id;class_name", "Image_Path\tcategory", "file_name,label"])
def test_names_that_columns_often_have(names: str, here: Path) -> None:
    between = next(c for c in ",;\t" if c in names)
    classes, train, _ = table(here, f"{names}\na.png{between}x\nb.png{between}y\n")
    assert (classes, train.images) == (["x", "y"], ["a.png", "b.png"])


REFUSED = {
    "no train": ("path,label,split\na,x,test\n", "it says only 'test'"),
    "a strange part": ("path,label,split\na,x,train\nb,x,holdout\nc,x,test\n", "it says 'holdout'"),
    "no part": ("path,label,split\na,x,\nc,x,test\n", "it says ''"),
    "a class of the test alone": ("path,label,split\na,x,train\nb,y,test\n", "no class of the training: ['y']"),
    "no label": ("path,label,split\na,,train\nb,x,test\n", "no row of the training part has a label"),
    "one twice": ("path,label,split\na,x,train\na,x,test\n", "lists 'a' (lines 2, 3) more than once"),
    "a column for each class": (
        "path,cat,dog\na,1,0\nb,1,1\n",
        "not exactly one 1 among the columns cat, dog in line 3",
    ),
    "several labels": ("path,label\na,x\nb,y\nc,x|y\n", "several labels in 1 of 3 rows: 'x|y' (line 4, 'c')"),
    "several numbers": ("path,label\na,1\nb,2\nc,2 1\n", "several labels in 1 of 3 rows: '2 1' (line 4, 'c')"),
    "a short row": ("path,label,split\na,x,train\nb,x\n", "line 3: too few columns, 2 of 3"),
    "names alone": ("path,label,split\n", "holds no row"),
    "nothing": ("", "holds no row"),
    "blank": ("\n\n  \n", "holds no row"),
    "a cell without end": ("path,label,split\n" + "x" * 200_000 + ",y,train\n", "field larger"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused(case: str, here: Path) -> None:
    text, words = REFUSED[case]
    with pytest.raises(UserError) as caught:
        table(here, text)
    assert words in str(caught.value)
    assert "t.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_no_text(here: Path) -> None:
    (here / "bytes.csv").write_bytes(b"path,label,split\n\xff,x,train\n")
    with pytest.raises(UserError, match=r"bytes.csv is no text in UTF-8; save it again as such"):
        read("csv", file="bytes.csv")
    for file, words in (("gone.csv", "No such file"), (".", "Is a directory")):
        with pytest.raises(UserError, match=f"cannot read .*{words}"):
            read("csv", file=file)


def test_an_image_that_is_not_there_is_named(here: Path) -> None:
    pictures(here, ["a.png"])
    (here / "t.csv").write_text("path,label,split\na.png,x,train\nsub/b.png,x,test\n")
    with pytest.raises(UserError, match=r"no image file .*sub/b.png"):
        decoded("csv", 8, file="t.csv")
