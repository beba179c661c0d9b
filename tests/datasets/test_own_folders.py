"""Folders as people have them: what each is taken for, heaps, links, names in any script, a test part or none."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from sslkit.datasets._layout import kind_of
from sslkit.errors import UserError
from sslkit.prepare import Prepared, prepare
from tests.cli.call import folder_of, run
from tests.datasets.make import own, picture, pictures, read
from tests.kernel.make import TINY


def asked(root: Path, **keys: Any) -> Prepared:
    return prepare(
        TINY | {"data": f"folder:{root}", "data.labels": "2/class"} | {f"data.{k}": v for k, v in keys.items()}
    )


def said(made: Prepared, words: str) -> str:
    """The one remark that has these words."""
    (found,) = [remark for remark in made.remarks if words in remark]
    return found


@pytest.mark.parametrize(
    ("kind", "names"),
    {
        "training": ["train", "Training", "TRAIN", "train_images", "Train Set", "labelled", "labeled"],
        "test": ["test", "Testing", "TEST", "test-set", "testdata"],
        "validation": ["val", "valid", "Validation", "VAL", "dev"],
        "unlabelled": ["unlabeled", "Unlabelled", "un-labelled", "unlabeled_data", "unsupervised", "no label"],
        "": ["cat", "trains", "tested", "contest", "valley", "train 2", "labels", "猫"],
    }.items(),
)
def test_kinds_of_folders_by_name(kind: str, names: list[str]) -> None:
    assert [kind_of(name) for name in names] == [kind] * len(names)


@pytest.mark.parametrize(
    ("train", "test", "heap"), [("Training", "valid", "unlabelled"), ("TRAIN", "Test", "Un-Labeled")]
)
def test_parts_are_known_in_any_case_and_what_each_is_taken_for_is_said(
    train: str, test: str, heap: str, here: Path
) -> None:
    own(here / "pets")
    for name, new in (("train", train), ("test", test), ("unlabeled", heap)):
        (here / "pets" / name).rename(here / "pets" / f"{new}.tmp").rename(here / "pets" / new)
    made = asked(here / "pets")
    assert made.images.names[0] == f"{train}/cat/cat0.png"
    assert made.images.label.tolist() == [0] * 6 + [1] * 6 + [-1] * 3 + [0, 0, 1, 1]
    layout = said(made, "training images from")
    for words in (
        f"training images from {train}/",
        f"test images from {test}/",
        f"images without a label from {heap}/",
    ):
        assert words in layout
    assert "cat 6 + 2, dog 6 + 2; training images without a label: 3" in said(
        made, "images with a label, training + test"
    )


def test_validation_beside_a_test_part_and_other_folders_are_not_used_and_said(here: Path) -> None:
    own(here / "pets")
    pictures(here / "pets", ["val/cat/1.png", "old/cat/1.png"])
    assert "not used: 'val', 'old'" in said(asked(here / "pets"), "not used")


def test_class_folders_beside_a_flat_heap(here: Path) -> None:
    pictures(here / "pets", [f"{name}/{i}.png" for name in ("dog", "cat") for i in range(10)])
    pictures(here / "pets", [f"heap{i}.JPG" for i in range(4)] + ["unlabelled/x.png", "unlabelled/deep/y.png"])
    made = asked(here / "pets")
    assert made.images.classes == ["cat", "dog"]
    assert "its folders are the classes; images without a label from unlabelled/" in said(made, "are the classes")
    names = made.images.names
    assert [names[i] for i in range(16, 22)] == [
        *(f"heap{i}.JPG" for i in range(4)),
        "unlabelled/x.png",
        "unlabelled/deep/y.png",
    ]
    assert {*range(16, 22)} <= {*made.split.pool.tolist()}
    assert sorted(made.images.label[made.split.test].tolist()) == [0, 0, 1, 1]
    assert "4 of 20 labelled images are set aside" in said(made, "no test part")


def test_images_beside_the_class_folders_of_train_have_no_label_and_those_of_test_are_not_used(here: Path) -> None:
    own(here / "pets")
    pictures(here / "pets", ["train/loose.png", "test/loose.png"])
    made = asked(here / "pets")
    assert made.images.label[: made.images.train].tolist() == [0] * 6 + [1] * 6 + [-1] * 4
    assert "test/loose.png" not in made.images.names
    assert said(made, "images beside the class folders of test are not used: 1")


def test_a_folder_that_an_archive_has_put_around(here: Path) -> None:
    own(here / "download" / "pets-v2" / "data")
    pictures(here / "download", ["__MACOSX/pets-v2/._x.png"])
    classes, train, _ = read("folder", dir=str(here / "download"))
    assert (classes, train.images[0]) == (["cat", "dog"], "train/cat/cat0.png")


def test_a_class_may_be_called_train(here: Path) -> None:
    pictures(here, [f"{name}/{i}.png" for name in ("car", "plane", "train") for i in range(5)])
    assert read("folder", dir=str(here))[0] == ["car", "plane", "train"]


def test_classes_that_are_numbers_are_in_their_order(here: Path) -> None:
    pictures(here, [f"train/{c}/{c}.png" for c in range(1, 13)] + ["test/7/a.png", "test/12/b.png"])
    classes, train, test = read("folder", dir=str(here))
    assert classes == [str(c) for c in range(1, 13)]
    assert train.images == [f"train/{c}/{c}.png" for c in range(1, 13)]
    assert test.label.tolist() == [6, 11]


def test_classes_without_a_test_image_are_said_and_enter_no_score(here: Path) -> None:
    own(here / "pets")
    for file in (here / "pets/test/dog").iterdir():
        file.unlink()
    call = run("--data", "folder:pets", "--labels", "2/class", "--json")
    assert call.code == 0, call.err
    assert "1 of 2 classes have no test image and enter no score: 'dog'" in call.err
    found = call.json["stages"][-1]["networks"]["averaged"]
    assert found["macro_f1"] in (0.0, pytest.approx(2 * found["top1"] / (1 + found["top1"]))), "of the class cat alone"


NAMES = ["été à la plage", "小猫", "Ärger & <b>[red]", "a,b;c", "=1+1"]


def test_names_in_any_script_from_loading_to_report(here: Path) -> None:
    root = here / "mes photos é 图"
    for name in NAMES:
        pictures(
            root, [f"train/{name}/{name} {i}.png" for i in range(4)] + [f"test/{name}/t {i}.png" for i in range(2)]
        )
    call = run("--data", f"folder:{root}", "--labels", "2/class", "--json")
    assert call.code == 0, call.err
    for name in NAMES:
        assert f"{name} 4 + 2" in call.err
    from sslkit.store import read_json

    assert read_json(folder_of(call, Path("runs")) / "split.json")["classes"] == sorted(NAMES)


def test_accents_are_the_same_however_the_disk_writes_them(here: Path) -> None:
    apart = unicodedata.normalize("NFD", "été")
    pictures(here / "d", [f"train/{apart}/{i}.png" for i in range(4)] + [f"train/b/b{i}.png" for i in range(4)])
    pictures(here / "d", ["test/été/t0.png", f"test/été/{apart}.png", "test/b/t.png"])
    Path("l.csv").write_text("path,label\ntrain/été/1.png,été\nb1.png,b\nété.png,été\n", "utf-8")
    made = asked(here / "d", labels="file:l.csv")
    assert made.images.classes == ["b", "été"]
    assert len(made.split.labeled) == 2


@pytest.mark.parametrize("suffix", ["JPG", "jpeg", "JPE", "webp", "PNG", "TIFF", "bmp", "Gif", "jp2", "jfif", "pgm"])
def test_suffixes_in_any_case(suffix: str, here: Path) -> None:
    pictures(here, [f"train/{c}/{i}.{suffix}" for c in "ab" for i in range(3)] + ["test/a/1.png", "test/b/1.png"])
    assert len(asked(here, labels="1/class").images.names) == 8


def test_what_is_left_out_is_counted_by_suffix(here: Path) -> None:
    own(here / "pets")
    for file in ("train/cat/a.txt", "train/dog/b.TXT", "unlabeled/c.xyz", "test/cat/notes", "train/.DS_Store"):
        (here / "pets" / file).write_text("no image")
    assert said(asked(here / "pets"), "left out").endswith("no images: 2 .txt, 1 .xyz, 1 without a suffix")


def test_folders_made_of_links(here: Path) -> None:
    for i in range(8):
        picture(here / f"store/{'cat' if i < 4 else 'dog'}/blob{i:02}.png", i)
    (here / "d/train/cat").mkdir(parents=True)
    for i in range(4):
        (here / f"d/train/cat/first {i}.png").symlink_to(here / f"store/cat/blob{i:02}.png")
    (here / "d/train/dog").symlink_to(here / "store/dog")
    (here / "d/test").symlink_to(here / "store")
    made = asked(here / "d")
    assert made.images.names[:4] == [f"train/cat/first {i}.png" for i in range(4)]
    assert made.images.names[4] == "train/dog/blob04.png"
    assert made.images.names[8] == "test/cat/blob00.png"


@pytest.mark.parametrize("table", ["test/answers.csv", "test.csv", "test_labels.csv"])
@pytest.mark.parametrize("row", ["{0}.png;{1}", "{0};{1}", "/elsewhere/test/{0}.png;{1}"])
def test_a_flat_test_folder_is_labelled_by_its_table(table: str, row: str, here: Path) -> None:
    own(here / "pets")
    for i, name in enumerate(("cat", "cat", "dog", "dog")):
        (here / f"pets/test/{name}/t_{name}{i % 2}.png").rename(here / f"pets/test/{i:04}.png")
    for name in ("cat", "dog"):
        (here / "pets/test" / name).rmdir()
    rows = [row.format(f"{i:04}", name) for i, name in enumerate(("cat", "cat", "dog"))]
    (here / "pets" / table).write_text("id;label\n" + "\n".join(rows))
    made = asked(here / "pets")
    assert made.images.label[made.split.test].tolist() == [0, 0, 1, -1]
    assert f"{table}: 3 of 3 rows matched, labels are class names, 3 labelled in test" in said(made, "rows matched")


def test_a_flat_test_folder_is_labelled_by_the_file_of_labels(here: Path) -> None:
    own(here / "pets")
    for name in ("cat", "dog"):
        for i in range(2):
            (here / f"pets/test/{name}/t_{name}{i}.png").rename(here / f"pets/test/{name}-{i}.png")
        (here / "pets/test" / name).rmdir()
    Path("l.csv").write_text("path,label\ncat1.png,cat\ndog1.png,dog\ncat-0.png,cat\ndog-1.png,dog\n")
    made = asked(here / "pets", labels="file:l.csv")
    assert made.images.label[made.split.test].tolist() == [0, -1, -1, 1]
    assert made.images.train == 15


def test_a_heap_alone_with_a_file_of_labels(here: Path) -> None:
    pictures(here / "heap", [f"{i:02}.png" for i in range(20)])
    rows = "".join(f"{i:02}.png,{'cat' if i % 2 else 'black dog'}\n" for i in range(10))
    Path("l.csv").write_text("path,label\n" + rows)
    made = asked(here / "heap", labels="file:l.csv")
    assert made.images.classes == ["black dog", "cat"]
    assert (len(made.split.labeled), len(made.split.pool), len(made.split.test)) == (8, 10, 2)
    with pytest.raises(
        UserError, match=r"no image has a label; add --labels file:FILE.csv with the columns path and label"
    ):
        asked(here / "heap")


@pytest.mark.parametrize("inside", [[], ["note.txt"], ["train/"], ["test/cat/1.png"]])
def test_a_folder_without_images_says_what_is_expected(inside: list[str], here: Path) -> None:
    (here / "d").mkdir()
    for name in inside:
        if name.endswith("png"):
            picture(here / "d" / name, 1)
        elif name.endswith("/"):
            (here / "d" / name).mkdir()
        else:
            (here / "d" / name).write_text("x")
    with pytest.raises(
        UserError, match=r"holds no image to train on( but 1 .txt)?; expected class folders, as DIR/cat/1.jpg"
    ):
        read("folder", dir=str(here / "d"))
