"""Slips of people and disks: names that are nearly the same, links to nowhere, labels of images that cannot be read."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from sslkit import registry
from sslkit.errors import UserError
from sslkit.network import Shape
from sslkit.prepare import Prepared, prepare
from tests.cli.call import assert_refused, run
from tests.datasets.make import own, picture, pictures
from tests.kernel.make import TINY

APART = unicodedata.normalize("NFD", "été")


def asked(root: Path, **keys: Any) -> Prepared:
    return prepare(TINY | {"data": f"folder:{root}", "data.labels": "all"} | {f"data.{k}": v for k, v in keys.items()})


def counts(made: Prepared) -> dict[str, int]:
    """Class -> labelled images in all parts."""
    return {name: made.images.label.tolist().count(c) for c, name in enumerate(made.images.classes)}


@pytest.mark.parametrize("part", ["train", "test"])
def test_two_folders_whose_names_differ_in_how_accents_are_written(part: str, here: Path) -> None:
    own(here / "d")
    pictures(here / "d", [f"train/été/{i}.png" for i in range(3)])
    pictures(here / "d", [f"{part}/été/a.png", f"{part}/{APART}/b.png"])
    with pytest.raises(UserError, match=r"has two folders called '.+', with .+; put their images into one"):
        asked(here / "d")


def test_labels_that_differ_in_how_accents_are_written_are_one_class(here: Path) -> None:
    pictures(here / "d", [f"{i}.png" for i in range(12)])
    rows = [f"{i}.png,{('b', 'été', APART)[i % 3]}" for i in range(12)]
    Path("l.csv").write_text("path,label\n" + "\n".join(rows), "utf-8")
    assert counts(asked(here / "d", labels="file:l.csv")) == {"b": 4, "été": 8}
    Path("d/all.csv").write_text("path,label\n" + "\n".join(rows), "utf-8")
    made = prepare(TINY | {"data": f"csv:{here}/d/all.csv", "data.labels": "all"})
    assert counts(made) == {"b": 4, "été": 8}


@pytest.mark.parametrize(("first", "second"), [("cat", "Cat"), ("sea lion", "sea_lion"), ("cat", "cat\u200b")])
def test_classes_that_are_called_nearly_the_same_are_said(first: str, second: str, here: Path) -> None:
    pictures(here / "d", [f"{name}/{i}.png" for name in (first, second, "dog", "猫") for i in range(3)])
    (said,) = [remark for remark in asked(here / "d").remarks if "nearly the same" in remark]
    assert repr(first) in said
    assert repr(second) in said
    assert "dog" not in said
    pictures(here / "e", [f"{name}/{i}.png" for name in ("1", "-", "_", "10", "a1") for i in range(3)])
    assert not any("nearly the same" in remark for remark in asked(here / "e").remarks)


@pytest.mark.parametrize("place", ["train/cow", "cow"])
def test_a_class_folder_that_is_a_link_to_nowhere_is_no_class_less(place: str, here: Path) -> None:
    own(here / "d")
    (here / "d" / place).symlink_to("/a/disk/that/is/not/here")
    with pytest.raises(UserError, match=rf"d/{place} is a link that leads nowhere; mend or remove it"):
        asked(here / "d")


def test_an_image_of_the_heap_that_is_a_link_to_nowhere_is_named(here: Path) -> None:
    pictures(here / "d", [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(4)] + ["loose.png"])
    (here / "d/gone.png").symlink_to("/nowhere.png")
    with pytest.raises(UserError, match=r"no image file .*gone\.png"):
        asked(here / "d")
    made = asked(here / "d", on_bad_image="skip")
    assert any("1 of 10 images cannot be read" in remark for remark in made.remarks)


def test_a_file_of_labels_may_name_images_that_are_skipped(here: Path) -> None:
    pictures(here / "d", [f"{i}.png" for i in range(12)])
    (here / "d/3.png").write_bytes(b"")
    Path("l.csv").write_text("path,label\n" + "\n".join(f"{i}.png,{i % 2}" for i in range(10)))
    made = asked(here / "d", labels="file:l.csv", on_bad_image="skip")
    assert counts(made) == {"0": 5, "1": 4}
    assert any(
        "10 of 10 rows matched, labels are class names, 1 of them for images that cannot be read, 9 labelled" in said
        for said in made.remarks
    )
    Path("l.csv").write_text("path,label\nno.png,1\n0.png,0\n")
    with pytest.raises(UserError, match=r"1 of 2 rows match no image: 'no\.png'"):
        asked(here / "d", labels="file:l.csv", on_bad_image="skip")


@pytest.mark.parametrize("column", ["split", "group"])
def test_a_column_that_a_file_of_labels_has_no_use_for_is_said(column: str, here: Path) -> None:
    own(here / "d")
    Path("l.csv").write_text(f"path,label,{column}\ncat1.png,cat,test\ndog1.png,dog,train\n")
    remarks = asked(here / "d", labels="file:l.csv").remarks
    assert any(f"its column {column} is not used" in remark for remark in remarks)


@pytest.mark.parametrize("word", ["nan", "NaN"])
def test_what_pandas_writes_for_a_missing_word_is_no_class(word: str, here: Path) -> None:
    pictures(here / "d", [f"{i}.png" for i in range(12)])
    rows = "\n".join(f"{i}.png,{('b', 'c', word)[i % 3]}" for i in range(12))
    Path("l.csv").write_text(f"path,label\n{rows}")
    assert counts(asked(here / "d", labels="file:l.csv")) == {"b": 4, "c": 4}
    pictures(here / "e", [f"{name}/{name}{i}.png" for name in (word, "rice") for i in range(4)])
    Path("l.csv").write_text("path,label\n" + "".join(f"{c}{i}.png,{c}\n" for c in (word, "rice") for i in range(4)))
    assert counts(asked(here / "e", labels="file:l.csv")) == {word: 4, "rice": 4}, "a class of that name is one"


def test_utf_16_without_a_mark_is_named_as_no_utf_8(here: Path) -> None:
    own(here / "d")
    Path("l.csv").write_bytes("path,label\ncat1.png,cat\n".encode("utf-16-le"))
    with pytest.raises(UserError, match="no text in UTF-8"):
        asked(here / "d", labels="file:l.csv")


def test_a_class_that_nothing_is_learned_of_is_said_and_one_alone_is_refused(here: Path) -> None:
    own(here / "d")
    pictures(here / "d", [f"train/cow/{i}.png" for i in range(2)])
    for i in range(2):
        (here / f"d/train/cow/{i}.png").write_text("torn")
    remarks = asked(here / "d", on_bad_image="skip").remarks
    assert "1 of 3 classes have no labelled image to learn from and will not be predicted: 'cow'" in remarks
    for file in (here / "d/train/dog").iterdir():
        file.write_text("torn")
    call = run("--data", "folder:d", "--labels", "all", "--on-bad-image", "skip")
    assert call.code == 2
    assert "error: only class 'cat' has labelled training images; label another, too" in call.err


def test_groups_that_leave_nothing_for_a_test_are_named(here: Path) -> None:
    pictures(here / "d", [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(4)])
    with pytest.raises(UserError, match="no class has a group of images to spare"):
        asked(here / "d", groups="(png)")


def test_more_labels_than_there_are_name_the_way_out(here: Path) -> None:
    picture(here / "d/cat/1.png", 3)
    pictures(here / "d", [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(4)])
    assert_refused(run("--data", "folder:d"), "wants 10 images of class 'cat', which has 3; all takes those that")


def test_labels_beside_images_without_one_are_all_taken_and_hidden_ones_are_said(here: Path) -> None:
    pictures(here / "d", [f"train/{name}/{i}.png" for name in ("cat", "dog") for i in range(12)])
    pictures(here / "d", [f"test/{name}/{i}.png" for name in ("cat", "dog") for i in range(3)])
    said = run("--data", "folder:d").err
    assert (
        "20 of 24 labels are used (10/class), the other images count as unlabelled; --labels all uses all labels"
        in said
    )
    pictures(here / "d", [f"unlabelled/{i}.png" for i in range(9)])
    made = prepare({"data": f"folder:{here}/d", "device": "cpu"})
    assert (made.config.data.labels, len(made.split.labeled)) == ("all", 24)
    assert "are hidden" not in run("--data", "folder:d").err


@pytest.mark.parametrize("algo", ["ema_teacher", "fixmatch", "supervised"])
def test_ones_own_images_are_labelled_with_caution(algo: str, here: Path) -> None:
    pictures(here / "d", [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(12)])
    Path("d.csv").write_text("".join(f"d/{n}/{i}.png,{n}\n" for n in ("cat", "dog") for i in range(12)), "utf-8")
    for data in ("folder:d", "csv:d.csv"):
        config = prepare({"data": data, "algo": algo, "device": "cpu"}).config
        assert config.algo.options.get("lambda_u", 1.0) == 1.0
        assert (config.labeler.options["tau"] if config.labeler else 0.95) == 0.95
        asked = prepare({"data": data, "device": "cpu", "labeler.tau": 0.6, "algo.lambda_u": 5}).config
        assert asked.labeler is not None
        assert (asked.labeler.options["tau"], asked.algo.options["lambda_u"]) == (0.6, 5)


@pytest.mark.parametrize(("side", "size"), [(3, 4), (8, 8), (9, 8), (43, 44), (64, 64), (91, 96), (300, 224)])
def test_the_size_that_is_chosen_fits_the_network_that_is_chosen(side: int, size: int, here: Path) -> None:
    for i in range(8):
        picture(here / f"d/{'cat' if i % 2 else 'dog'}/{i}.png", i, side)
    made = prepare({"data": f"folder:{here}/d", "data.labels": "all", "device": "cpu", "weights": "none"})
    assert made.config.data.size == size
    name = made.config.backbone.name
    registry.load("backbone", name)(Shape(size, 2))


def test_a_pipe_that_is_called_as_an_image_is_named_and_not_waited_for(here: Path) -> None:
    pictures(here / "d", [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(4)])
    os.mkfifo(here / "d/cat/pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png is no file"):
        asked(here / "d")
    made = asked(here / "d", on_bad_image="skip")
    assert any("1 of 9 images cannot be read" in remark for remark in made.remarks)


def test_a_link_to_nowhere_inside_a_class_that_is_no_image_is_left_alone(here: Path) -> None:
    pictures(here / "d", [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(4)])
    (here / "d/cat/more").symlink_to("/nowhere")
    assert counts(asked(here / "d")) == {"cat": 4, "dog": 4}


def test_classes_that_may_lie_a_level_deeper_are_a_question_or_said(here: Path) -> None:
    folders = [f"{year}/{name}" for year in (2023, 2024) for name in ("cat", "dog")]
    pictures(here / "d", [f"{folder}/{i}.png" for folder in folders for i in range(4)])
    with pytest.raises(
        UserError, match=r"classes '2023', '2024': .*classes 'cat', 'dog' in 2023/, 2024/: --set data.train"
    ):
        asked(here / "d")
    assert list(asked(here / "d", train="2023,2024").images.classes) == ["cat", "dog"]
    picture(here / "d/2024/1.png", 1)
    made = asked(here / "d")
    assert list(made.images.classes) == ["2023", "2024"]
    assert any("several classes hold folders called 'cat', 'dog'" in remark for remark in made.remarks)
    pictures(here / "e", ["cat/old/1.png", "cat/2.png", "dog/new/1.png", "dog/2.png"])
    assert not any("hold folders called" in remark for remark in asked(here / "e").remarks)
