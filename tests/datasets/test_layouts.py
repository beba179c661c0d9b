"""Folders that are parts and folders that are classes: layouts are drawn, with the answer made beside each."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from sslkit.config.resolve import parse_set
from sslkit.data import Raw
from sslkit.datasets._layout import called
from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.cli.call import TINY, assert_refused, folder_of, run, sslkit
from tests.datasets import layouts
from tests.datasets.layouts import Drawn
from tests.datasets.make import own, pictures, read
from tests.kernel.make import TINY as BRIEF


def known(classes: list[str], part: Raw) -> dict[str, str | None]:
    """File name -> class; each image is there once."""
    names = [Path(str(image)).name for image in part.images]
    assert len({*names}) == len(names)
    return {name: classes[c] if c >= 0 else None for name, c in zip(names, part.label.tolist(), strict=True)}


def assert_read(drawn: Drawn, options: dict[str, str]) -> None:
    classes, train, test = read("folder", dir=str(drawn.root), **options)
    assert (known(classes, train), known(classes, test)) == (drawn.train, drawn.test), drawn.told


@pytest.mark.parametrize("seed", range(120))
def test_parts_are_read_as_they_were_drawn(seed: int, here: Path) -> None:
    assert_read(layouts.Draw(here, seed).parts(), {})


@pytest.mark.parametrize("seed", range(20))
def test_classes_that_are_called_as_parts(seed: int, here: Path) -> None:
    assert_read(layouts.flat(here, seed), {})


def ways(message: str) -> list[dict[str, str]]:
    """The options of each reading that a question lists."""
    _, _, listed = message.partition("the right one: ")
    found = []
    for way in re.split(r"; (?=classes)", listed):
        words = shlex.split(way[way.index("--set") :])
        keys = [parse_set(word) for word in words if word != "--set"]
        found.append({key.removeprefix("data."): value for key, value in keys})
    return found


@pytest.mark.parametrize("seed", range(24))
def test_where_two_readings_fit_each_is_had_by_the_options_that_are_listed(seed: int, here: Path) -> None:
    root, answers = layouts.asked(here, seed)
    with pytest.raises(UserError, match="can be read in 2 ways") as caught:
        read("folder", dir=str(root))
    assert "\n" not in str(caught.value)
    for answer, options in zip(answers, ways(str(caught.value)), strict=True):
        assert_read(answer, options)


@pytest.mark.parametrize(
    ("name", "kind"),
    {
        "train_v2": ("training", ""),
        "pets_train": ("training", "pets"),
        "petsTrain": ("training", "pets"),
        "2021_train_mini": ("training", ""),
        "trainval": ("training", ""),
        "train_unlabeled": ("unlabelled", ""),
        "no label 2": ("unlabelled", ""),
        "train_test": ("", ""),
        "contest": ("", "contest"),
        "trains": ("", "trains"),
    }.items(),
)
def test_words_of_a_name(name: str, kind: tuple[str, str]) -> None:
    assert called(name) == kind


def images(root: Path, *folders: str) -> None:
    pictures(root, [f"{folder}/{folder.replace('/', '_')}{i}.png" for folder in folders for i in range(4)])


def test_all_commands_ask_the_same_and_take_the_same_options(here: Path) -> None:
    images(here / "pets", "cat", "dog", "test")
    question = (
        "pets can be read in 2 ways, add the options of the right one: "
        "classes 'cat', 'dog', 'test': --set data.train=.; "
        "classes 'cat', 'dog', test images from test/: --set data.train=. --set data.test=test"
    )
    for command in (
        ("run", *TINY, "--data", "folder:pets"),
        ("data", "pets"),
        ("compare", "--data", "folder:pets", "--algo", "fixmatch"),
        ("advise", "pets"),
    ):
        assert_refused(sslkit(*command), question)
    found = sslkit("data", "pets", "--set", "data.train=.", "--labels", "2/class", "--json")
    assert [one["name"] for one in found.json["classes"]] == ["cat", "dog", "test"]
    made = run(
        "--data", "folder:pets", "--set", "data.train=.", "--set", "data.test=test", "--labels", "2/class", "--json"
    )
    assert made.code == 0, made.err
    assert "its folders are the classes; test images from test/" in made.err
    folder = folder_of(made, Path("runs"))
    assert sslkit("predict", folder, "folder:pets").code == 0, "as the run did"
    Path("pets").rename("others")
    assert_refused(sslkit("predict", folder, "folder:others", "--out", "o.csv"), "can be read in 2 ways")
    told = sslkit("predict", folder, "folder:others", "--out", "o.csv", "--set", "data.train=.")
    assert told.code == 0, told.err
    assert "8 have a label" in told.out
    assert_refused(sslkit("predict", folder, "folder:others", "--out", "p.csv", "--set", "data.tran=."), "data.train")


def test_ones_own_validation_part(here: Path) -> None:
    own(here / "pets")
    images(here / "pets", "val/cat", "val/dog")
    plain = prepare(BRIEF | {"data": f"folder:{here}/pets", "data.labels": "all"})
    assert any("not used: 'val' (--set data.val=val validates on val/)" in remark for remark in plain.remarks)
    made = run("--data", "folder:pets", "--labels", "all", "--val", "val", "--json")
    assert made.code == 0, made.err
    assert "validation images from val/" in made.err
    assert "cat 6 + 2, dog 6 + 2; training images without a label: 3; validation images: 8" in made.err
    assert made.json["stages"][-1]["best"]["step"] > 0
    found = prepare(BRIEF | {"data": f"folder:{here}/pets", "data.labels": "4/class", "data.val": "val"})
    names = found.images.names
    assert {names[i].partition("/")[0] for i in found.split.val} == {"val"}
    assert {names[i].partition("/")[0] for i in found.split.labeled} == {"train"}
    assert {names[i].partition("/")[0] for i in found.split.pool} == {"train", "unlabeled"}
    assert (len(found.split.val), len(found.split.labeled), len(found.split.pool)) == (8, 8, 7)


def test_a_validation_part_beside_labels_from_a_file_and_without_a_test_part(here: Path) -> None:
    images(here / "pets", "train/cat", "train/dog", "val/cat", "val/dog")
    Path("l.csv").write_text(
        "path,label\n" + "".join(f"train_{c}{i}.png,{c}\n" for c in ("cat", "dog") for i in range(3))
    )
    made = prepare(BRIEF | {"data": "folder:pets", "data.labels": "file:l.csv", "data.val": "val"})
    names, split = made.images.names, made.split
    assert {names[i].partition("/")[0] for i in split.test} == {"train"}, "set aside"
    assert sorted(made.images.label[split.val].tolist()) == [0] * 4 + [1] * 4
    Path("i.csv").write_text("Index\n0\n9\n")
    with pytest.raises(UserError, match=r"images of the validation part val are listed"):
        prepare(BRIEF | {"data": "folder:pets", "data.labels": "index:i.csv", "data.val": "val", "data.test": "val"})


def test_a_test_part_without_labels_beside_a_validation_part_with_them(here: Path) -> None:
    """As of tiny-imagenet."""
    pictures(here, [f"tiny/train/n{c}/images/n{c}_{i}.JPEG" for c in (1, 2) for i in range(3)])
    pictures(here, [f"tiny/{part}/images/{part}_{i}.JPEG" for part in ("val", "test") for i in range(4)])
    rows = "".join(f"val_{i}.JPEG\tn{1 + i % 2}\t{i // 2}\t32\t44\t62\n" for i in range(4))
    (here / "tiny/val/val_annotations.txt").write_text(rows)
    (here / "tiny/words.txt").write_text("n1\tcat\nn2\tdog\n")
    for c in (1, 2):
        (here / f"tiny/train/n{c}/n{c}_boxes.txt").write_text(f"n{c}_0.JPEG\t0\t0\t62\t62\n")
    made = prepare(BRIEF | {"data": "folder:tiny", "data.labels": "2/class"})
    assert made.images.classes == ["n1", "n2"]
    assert made.images.label[made.split.test].tolist() == [0, 1, 0, 1]
    assert "test images from val/images/; not used: 'test'" in made.remarks[0]
    assert not any("hold folders called" in remark for remark in made.remarks)


def test_parts_inside_of_classes(here: Path) -> None:
    images(here, *(f"d/{c}/{part}" for c in ("cat", "dog") for part in ("train", "test")))
    classes, train, test = read("folder", dir="d")
    assert classes == ["cat", "dog"]
    assert {Path(str(name)).parts[1] for name in train.images} == {"train"}
    assert (train.label.tolist(), test.label.tolist()) == ([0] * 4 + [1] * 4, [0] * 4 + [1] * 4)


def test_the_store_among_the_images_is_no_class(here: Path) -> None:
    images(here, "cat", "dog")
    first = run("--data", "folder:.", "--labels", "2/class", "--json")
    assert first.code == 0, first.err
    assert any(
        "cat 3 + 1, dog 3 + 1" in remark
        for remark in prepare(BRIEF | {"data": "folder:.", "data.labels": "2/class"}).remarks
    )
    for path in Path("runs/stages").iterdir():  # as a run leaves it that was stopped early
        path.rename(path.with_name(f".{path.name}"))
    assert read("folder", dir=".")[0] == ["cat", "dog"]
    (here / "runs/data").rename(here / "cat/data")
    assert read("folder", dir=".")[0] == ["cat", "dog"]


def test_folders_that_are_no_store_though_they_are_called_as_in_one(here: Path) -> None:
    images(here, "cat/data", "dog/stages", "dog/frozen")
    for path in list(here.rglob("*.png")):
        path.rename(path.with_name(f"{hash(path.name) % 16**16:016x}.png"))
    _, train, _ = read("folder", dir=str(here))
    assert train.label.tolist() == [0] * 4 + [1] * 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": "tran"}, "data.train=tran: d: unknown folder 'tran', did you mean 'train'"),
        ({"test": "train,tset"}, "data.test=train,tset: d: unknown folder 'tset'"),
        ({"unlabeled": ".."}, "data.unlabeled=..: d: unknown folder '..'"),
    ],
)
def test_folders_that_are_not_there(options: dict[str, str], words: str, here: Path) -> None:
    images(here, "d/train/cat", "d/train/dog")
    with pytest.raises(UserError, match=re.escape(words)):
        read("folder", dir="d", **options)


def test_data_sets_without_folders_have_no_use_for_them() -> None:
    for key, value in {"data.train": "a", "data.val": "val", "data.test": 2024}.items():
        with pytest.raises(UserError, match=f"'digits' has no use for {key}; drop it"):
            prepare(BRIEF | {"data": "digits", key: value})


def test_several_folders_of_a_part_are_one_by_option(here: Path) -> None:
    images(here, "d/train_a/cat", "d/train_b/dog", "d/train_b/cat", "d/test/cat", "d/test/dog")
    with pytest.raises(
        UserError, match=r"several training folders: 'train_a', 'train_b'; name one, as --set data.train="
    ):
        read("folder", dir="d")
    classes, train, _ = read("folder", dir="d", train="train_a,train_b")
    assert (classes, train.label.tolist()) == (["cat", "dog"], [0] * 8 + [1] * 4)


def test_links_of_two_classes_to_one_folder_are_refused(here: Path) -> None:
    images(here, "x", "d/cat", "d/dog")
    for name in ("cat", "dog"):
        (here / "d" / name / "more").symlink_to(here / "x")
    with pytest.raises(UserError, match="lead to one folder, and an image has one class"):
        read("folder", dir="d")


def test_links_that_are_not_followed_are_said(here: Path) -> None:
    images(here, "d/cat", "d/dog")
    (here / "d/cat/see").symlink_to(here / "d/dog")
    (here / "d/dog/see").symlink_to(here / "d/cat")
    made: Any = prepare(BRIEF | {"data": "folder:d", "data.labels": "2/class"})
    assert len(made.images.names) == 8
    assert any("not followed: 'cat/see', 'dog/see'" in remark for remark in made.remarks)


def test_a_validation_part_is_nothing_to_pretrain_on(here: Path) -> None:
    images(here, "d/train", "d/val")
    (here / "d/val.csv").write_text(
        "path,label\n" + "".join(f"d_val{i}.png,{'cat' if i % 2 else 'dog'}\n" for i in range(4))
    )
    asked = {"data": "folder:d", "data.train": "train", "data.val": "val", "stages": "pretrain", "pretrainer": "mae"}
    made = prepare(BRIEF | asked)
    assert {made.images.names[i].partition("/")[0] for i in made.split.pool} == {"train"}


def test_classes_that_the_table_of_the_test_part_alone_has(here: Path) -> None:
    """They are those of a file of labels, or it is refused."""
    images(here, "d/train", "d/test")
    (here / "d/test.csv").write_text(
        "path,label\n" + "".join(f"d_test{i}.png,{'cat' if i % 2 else 'dog'}\n" for i in range(4))
    )
    asked = {"data": "folder:d", "data.labels": "file:l.csv"}
    for names in (("dog", "cat"), ("dog", "ant")):
        (here / "l.csv").write_text("path,label\n" + "".join(f"d_train{i}.png,{names[i % 2]}\n" for i in range(4)))
        if "ant" in names:
            with pytest.raises(UserError, match="no class is called 'ant'"):
                prepare(BRIEF | asked)
        else:
            made = prepare(BRIEF | asked)
            assert [made.images.classes[c] for c in made.images.label] == ["dog", "cat"] * 4


def test_which_folders_are_classes_is_no_question_where_a_file_has_the_labels(here: Path) -> None:
    images(here, *(f"d/{year}/{c}" for year in ("2023", "2024") for c in ("cat", "dog")))
    rows = [f"d_{year}_{c}{i}.png,{c}\n" for year in ("2023", "2024") for c in ("cat", "dog") for i in range(4)]
    (here / "l.csv").write_text("path,label\n" + "".join(rows))
    with pytest.raises(UserError, match="can be read in 2 ways"):
        prepare(BRIEF | {"data": "folder:d", "data.labels": "all"})
    made = prepare(BRIEF | {"data": "folder:d", "data.labels": "file:l.csv"})
    assert made.images.classes == ["cat", "dog"]
    assert (made.images.label >= 0).all()


def test_a_table_without_a_suffix_of_tables_is_one_where_it_names_images(here: Path) -> None:
    """What cannot be told of its columns is said; it is not left out."""
    images(here, "d/train/cat", "d/train/dog", "d/test")
    (here / "d/test/readme.txt").write_text("images of 2024\n")
    for rows, words in (("d_test{i}.png\tcow\t{i}\n", "which of the columns"), ("d_test{i}.png\tcow\n", "no class is")):
        (here / "d/test/l.txt").write_text("".join(rows.replace("{i}", str(i)) for i in range(4)))
        with pytest.raises(UserError, match=words):
            read("folder", dir="d")
