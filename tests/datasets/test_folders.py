"""Class folders: ImageNet, iNaturalist and one's own, in torchvision's order, and what is not as it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets as published  # type: ignore[import-untyped]

from sslkit.data import Images, Raw, stored
from sslkit.data.decoding import decode
from sslkit.data.image import Square, to_pixels
from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.datasets.make import decoded, held, own, picture, pictures, read

SYNSETS = ["n01440764", "n01443537", "n02099601"]
NASTY = [
    "b.JPEG",
    "B.jpeg",
    "a10.jpg",
    "a9.JPG",
    "z/1.png",
    "a!/1.png",
    "a/2.png",
    "a/b/0.webp",
    "ü 猫.png",
    "note.txt",
]


def imagenet(root: Path) -> None:
    for name in SYNSETS:
        pictures(root, [f"train/{name}/{name}_{i}.JPEG" for i in (10, 9, 1)])
    pictures(root, [f"val/{SYNSETS[2]}/ILSVRC2012_val_00000002.JPEG", f"val/{SYNSETS[0]}/ILSVRC2012_val_00000001.JPEG"])


def assert_imagefolder(found: Raw, folder: Path) -> None:
    """The images and labels are torchvision's, in its order."""
    expected = published.ImageFolder(str(folder)).samples
    assert [found.source(i) for i in range(len(found.images))] == [path for path, _ in expected]
    assert found.label.tolist() == [label for _, label in expected]


def test_imagenet_is_in_the_order_of_imagefolder(here: Path) -> None:
    imagenet(here)
    classes, train, test = read("imagenet", dir=str(here))
    assert classes == SYNSETS
    assert_imagefolder(train, here / "train")
    assert train.images[0] == "train/n01440764/n01440764_1.JPEG"
    assert test.label.tolist() == [0, 2]


def test_any_names_are_in_the_order_of_imagefolder(here: Path) -> None:
    for name in ("a", "B", "a b", "é"):
        for file in NASTY:
            if file.endswith("txt"):
                (here / "train" / name / file).write_text("no image")
            else:
                picture(here / "train" / name / file, 9)
        picture(here / "test" / name / "x.png", 9)
    classes, train, test = read("folder", dir=str(here))
    assert classes == ["B", "a", "a b", "é"]
    assert_imagefolder(train, here / "train")
    assert_imagefolder(test, here / "test")


CATEGORIES = [
    "00000_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris",
    "00001_Plantae_b_c_d_e_f_g",
]


@pytest.mark.parametrize(("name", "part"), [("inaturalist", "2021_train"), ("inaturalist_mini", "2021_train_mini")])
def test_inaturalist_has_torchvisions_images_and_labels(name: str, part: str, here: Path) -> None:
    for category in CATEGORIES:
        pictures(here, [f"{part}/{category}/{i}.jpg" for i in "cab"] + [f"2021_valid/{category}/v.jpg"])
    classes, train, test = read(name, dir=str(here))
    theirs = published.INaturalist(str(here), version=part, loader=str)
    assert classes == [theirs.category_name("full", c) for c in (0, 1)]
    assert {(train.source(i), int(train.label[i])) for i in range(6)} == {theirs[i] for i in range(6)}
    assert train.images == sorted(train.images)
    assert test.label.tolist() == [0, 1]


def test_one_that_is_not_there_is_not_made(here: Path) -> None:
    with pytest.raises(UserError, match="no folder gone/2021_train; expected"):
        read("inaturalist", dir="gone")
    assert not (here / "gone").exists()


@pytest.mark.parametrize("name", ["inaturalist", "inaturalist_mini"])
def test_inaturalist_downloads_both_parts(name: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def fetch(root: str, *, version: str, download: bool) -> None:
        asked.append((version, download))
        pictures(Path(root), [f"{version}/{category}/1.jpg" for category in CATEGORIES])

    monkeypatch.setattr(published, "INaturalist", fetch)
    assert len(read(name, dir=str(here), download=True)[1].images) == 2
    assert asked == [("2021_train" + name.removeprefix("inaturalist"), True), ("2021_valid", True)]


def test_unlabelled_images_come_last_in_the_training_part(here: Path) -> None:
    own(here)
    pictures(here, ["unlabeled/deep/er/y.JPG", "unlabeled/.hidden/z.png"])
    classes, train, test = read("folder", dir=str(here))
    assert classes == ["cat", "dog"]
    assert train.label.tolist() == [0] * 6 + [1] * 6 + [-1] * 4
    assert train.images[12:] == [*(f"unlabeled/x{i}.png" for i in range(3)), "unlabeled/deep/er/y.JPG"]
    assert test.images == [f"test/{name}/t_{name}{i}.png" for name in classes for i in (0, 1)]
    made = prepare({"data": f"folder:{here}", "data.labels": "2/class", "backbone": "vit_micro"})
    assert {12, 13, 14, 15} <= set(made.split.pool.tolist())
    assert made.images.names[12] == "unlabeled/x0.png"


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation"])
def test_names_of_the_test_part(name: str, here: Path) -> None:
    own(here)
    (here / "test").rename(here / name)
    assert len(read("folder", dir=str(here))[2].images) == 4


def test_test_beats_validation(here: Path) -> None:
    own(here)
    pictures(here, ["val/cat/1.png"])
    assert len(read("folder", dir=str(here))[2].images) == 4


def test_hidden_folders_and_files_are_no_data(here: Path) -> None:
    own(here)
    pictures(here, ["train/.ipynb_checkpoints/1.png", "train/cat/.trash/1.png", "train/cat/._cat0.png"])
    classes, train, _ = read("folder", dir=str(here))
    assert classes == ["cat", "dog"]
    assert len(train.images) == 15


def test_links_are_followed_and_keep_their_names(here: Path) -> None:
    own(here)
    (here / "train/dog").rename(here / "kept")
    (here / "train/dog").symlink_to(here / "kept")
    (here / "train/cat/linked.png").symlink_to(here / "kept/dog0.png")
    _, train, _ = read("folder", dir=str(here))
    assert "train/dog/dog0.png" in train.images
    assert train.label[list(train.images).index("train/cat/linked.png")] == 0
    assert len(train.images) == 16


def test_classes_of_the_test_part_are_matched_by_name(here: Path) -> None:
    own(here)
    for file in (here / "test/cat").iterdir():
        file.unlink()
    assert read("folder", dir=str(here))[2].label.tolist() == [1, 1]
    (here / "test/cat").rmdir()
    assert read("folder", dir=str(here))[2].label.tolist() == [1, 1]


def empty(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        file.unlink()


BROKEN: dict[str, tuple[Any, str]] = {
    "an empty class": (lambda root: empty(root / "train/dog"), "{root}/train/dog holds no image; remove or fill it"),
    "another class": (lambda root: (root / "test/cat").rename(root / "test/cats"), "part has not: 'cats'"),
    "two of a part": (lambda root: pictures(root, ["Test/cat/1.png"]), "has several test folders: 'Test', 'test'"),
    "a link to itself": (
        lambda root: (root / "train/cat/deep").symlink_to(root / "train"),
        "that it lies in; remove it",
    ),
    "two tables": (
        lambda root: (
            [(root / "test" / n).rename(root / n) for n in ("cat", "dog")]
            and [(root / n).write_text("a,b") for n in ("test/x.csv", "test.csv")]
            and picture(root / "test/1.png", 0)
        ),
        "test/x.csv and test.csv could both be the labels of test",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_missing_is_said(case: str, here: Path) -> None:
    own(here)
    change, words = BROKEN[case]
    change(here)
    with pytest.raises(UserError) as caught:
        read("folder", dir=str(here))
    assert words.format(root=here) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_not_utf8_is_refused(here: Path) -> None:
    own(here)
    picture(here / "train/cat/1.png", 0).rename(here / "train/cat" / b"\xff.png".decode(errors="surrogateescape"))
    with pytest.raises(UserError, match="not UTF-8"):
        read("folder", dir=str(here))


# Decoded files are kept by path, size and time of change.


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are decoded, in no order."""
    names: list[str] = []

    def counted(item: Any, square: Square, name: str) -> Any:
        names.append(name)
        return to_pixels(item, square, name)

    monkeypatch.setattr(stored, "to_pixels", counted)
    return names


def kept(root: Path) -> Images:
    return decode(*read("folder", dir=str(root)), 8, root / "cache")


def test_a_second_run_opens_no_file(here: Path, opened: list[str]) -> None:
    own(here)
    first = kept(here)
    assert len(opened) == 19
    again = kept(here)
    assert len(opened) == 19
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(held(again), held(first))
    assert np.array_equal(held(first), held(decoded("folder", 8, dir=str(here))))


def test_a_changed_file_is_decoded_again(here: Path) -> None:
    own(here)
    first = kept(here)
    picture(here / "train/cat/cat3.png", 250)
    now = kept(here)
    apart = (held(now) != held(first)).any((1, 2, 3))
    assert np.flatnonzero(apart).tolist() == [3]
    assert now.fingerprint != first.fingerprint


def test_more_files_than_a_thread_takes_keep_their_order(here: Path) -> None:
    shades = np.arange(150)
    images = [np.full((8, 8), shade, np.uint8) for shade in shades]
    part = Raw(images, np.zeros(150, np.int64))
    found = decode(["a"], part, part, 8)
    assert np.array_equal(held(found)[:, 0, 0, 0], np.tile(shades, 2))


def test_of_several_broken_files_the_first_is_named(here: Path) -> None:
    own(here, train=90)
    for number in (80, 7):
        (here / f"train/dog/dog{number}.png").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"train/dog/dog7.png is not an image that Pillow knows"):
        kept(here)
    assert not (here / "cache").exists()


def test_ten_million_names_are_texts_alone(here: Path) -> None:
    own(here)
    _, train, test = read("folder", dir=str(here))
    for part in (train, test):
        assert {type(image) for image in part.images} == {str}
        assert part.label.dtype == np.int64
        assert not part.names
