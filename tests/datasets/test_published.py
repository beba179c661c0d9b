"""CIFAR, SVHN, STL-10 and Food-101 from tiny copies, whose checksums stand in for the published ones.

torchvision's check itself is left in place: a damaged copy is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets as published  # type: ignore[import-untyped]

from sslkit import registry
from sslkit.config.resolve import resolve
from sslkit.data import Images
from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.datasets.make import Part, cifar, decoded, food101, held, md5, noise, read, stl10, svhn

Patch = pytest.MonkeyPatch
NAMES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
BATCHES = [f"data_batch_{i}" for i in range(1, 6)]


def cifar10(root: Path, patch: Patch) -> tuple[list[Part], list[Part]]:
    parts = {name: noise(12, 32, 10, i) for i, name in enumerate([*BATCHES, "test_batch"])}
    folder = root / "cifar-10-batches-py"
    cifar(folder, parts, ("batches.meta", "label_names"), "labels", NAMES)
    patch.setattr(published.CIFAR10, "train_list", [[name, md5(folder / name)] for name in BATCHES])
    patch.setattr(published.CIFAR10, "test_list", [["test_batch", md5(folder / "test_batch")]])
    patch.setattr(published.CIFAR10, "meta", published.CIFAR10.meta | {"md5": md5(folder / "batches.meta")})
    return [parts[name] for name in BATCHES], [parts["test_batch"]]


def cifar100(root: Path, patch: Patch) -> tuple[list[Part], list[Part]]:
    parts = {"train": noise(120, 32, 100, 0), "test": noise(110, 32, 100, 1)}
    folder = root / "cifar-100-python"
    names = [f"class {i:02}" for i in range(100)]
    cifar(folder, parts, ("meta", "fine_label_names"), "fine_labels", names)
    patch.setattr(published.CIFAR100, "train_list", [["train", md5(folder / "train")]])
    patch.setattr(published.CIFAR100, "test_list", [["test", md5(folder / "test")]])
    patch.setattr(published.CIFAR100, "meta", published.CIFAR100.meta | {"md5": md5(folder / "meta")})
    return [parts["train"]], [parts["test"]]


def svhn_(root: Path, patch: Patch) -> tuple[list[Part], list[Part]]:
    parts = {"train": noise(15, 32, 10, 0), "test": noise(12, 32, 10, 1)}
    svhn(root, parts)
    files = {name: ["", f"{name}_32x32.mat", md5(root / f"{name}_32x32.mat")] for name in parts}
    patch.setattr(published.SVHN, "split_list", files)
    return [parts["train"]], [parts["test"]]


def stl10_(root: Path, patch: Patch) -> tuple[list[Part], list[Part]]:
    parts = {name: noise(n, 96, 10, n) for name, n in (("train", 11), ("unlabeled", 4), ("test", 10))}
    parts["unlabeled"]["label"] = np.full(4, -1)
    folder = root / "stl10_binary"
    stl10(folder, parts, NAMES)
    for name in ("train_list", "test_list"):
        files = [file for file, _ in getattr(published.STL10, name)]
        patch.setattr(published.STL10, name, [[file, md5(folder / file)] for file in files])
    return [parts["train"], parts["unlabeled"]], [parts["test"]]


SETS: dict[str, tuple[Callable[[Path, Patch], tuple[list[Part], list[Part]]], int]] = {
    "cifar10": (cifar10, 32),
    "cifar100": (cifar100, 32),
    "svhn": (svhn_, 32),
    "stl10": (stl10_, 96),
}
# what each needs, the file that is damaged below first
FILES = {
    "cifar10": ["cifar-10-batches-py/data_batch_3", "cifar-10-batches-py/batches.meta"],
    "cifar100": ["cifar-100-python/train", "cifar-100-python/meta"],
    "svhn": ["train_32x32.mat", "test_32x32.mat"],
    "stl10": ["stl10_binary/unlabeled_X.bin", "stl10_binary/class_names.txt"],
}


@pytest.mark.parametrize("name", SETS)
def test_pixels_labels_and_order_are_those_of_the_files(name: str, here: Path, monkeypatch: Patch) -> None:
    make, size = SETS[name]
    train, test = make(here, monkeypatch)
    found = decoded(name, size, dir=str(here))
    assert found.train == sum(len(part["label"]) for part in train)
    assert np.array_equal(held(found), np.concatenate([part["pixels"] for part in train + test]))
    assert np.array_equal(found.label, np.concatenate([part["label"] for part in train + test]))
    assert len(found.classes) == found.label.max() + 1
    assert found.names[0] == "train image 0"
    assert found.names[found.train] == "test image 0"


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("place", [0, 1])
def test_a_missing_file_is_named_with_what_would_be_right(
    name: str, place: int, here: Path, monkeypatch: Patch
) -> None:
    SETS[name][0](here, monkeypatch)
    file = here / FILES[name][place]
    file.unlink()
    with pytest.raises(UserError) as caught:
        read(name, dir=str(here))
    assert str(file) in str(caught.value)
    assert "--data-dir must hold " in str(caught.value)
    assert "--download" in str(caught.value)


@pytest.mark.parametrize("name", SETS)
def test_a_damaged_file_is_refused(name: str, here: Path, monkeypatch: Patch) -> None:
    SETS[name][0](here, monkeypatch)
    file = here / FILES[name][0]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="checksum"):
        read(name, dir=str(here))


def test_the_published_checksums_are_asked_for(here: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        cifar10(here, patch)
    with pytest.raises(UserError, match="checksum"):
        read("cifar10", dir=str(here))


def test_classes_are_named(here: Path, monkeypatch: Patch) -> None:
    for make in (cifar10, svhn_, stl10_):
        make(here, monkeypatch)
    for name in ("cifar10", "stl10"):
        assert read(name, dir=str(here))[0] == NAMES
    assert read("svhn", dir=str(here))[0] == list("0123456789")


@pytest.mark.parametrize(("name", "flip"), [("cifar10", True), ("cifar100", True), ("stl10", True), ("svhn", False)])
def test_house_numbers_are_not_mirrored(name: str, flip: bool) -> None:
    config = resolve({"data.name": name}, registry.load("dataset", name), lambda: "vit_micro")
    assert (config.views.weak.flip, config.views.strong.flip) == (flip, flip)


def test_unlabelled_images_of_stl10_are_in_the_pool_alone(here: Path, monkeypatch: Patch) -> None:
    stl10_(here, monkeypatch)
    request = {"data": "stl10", "data.dir": str(here), "data.labels": "1/class", "data.size": 8}
    prepared = prepare(request | {"backbone": "vit_micro"})
    assert {11, 12, 13, 14} <= set(prepared.split.pool.tolist())
    assert len(prepared.split.pool) == 1 + 4


@pytest.mark.parametrize("name", [*SETS, "food101"])
def test_downloading_is_torchvisions(name: str, here: Path, monkeypatch: Patch) -> None:
    """What torchvision is asked, and that its failure is one line; nothing is fetched."""
    asked: list[dict[str, Any]] = []

    def refuse(root: str, **options: Any) -> None:
        asked.append({"root": root, **options})
        raise ConnectionError("no network\nand more")

    cls = {"food101": "Food101"}.get(name, name.upper())
    monkeypatch.setattr(published, cls, refuse)
    with pytest.raises(UserError, match="cannot be downloaded: ConnectionError: no network") as caught:
        read(name, dir="data", download=True)
    assert "\n" not in str(caught.value)
    assert asked[0]["root"] == "data"
    assert asked[0]["download"] is True


# Food-101: files of both parts lie in one folder.

FOOD = {
    "train": {"waffles": ["3", "1"], "apple_pie": ["10", "9"]},
    "test": {"apple_pie": ["2"], "waffles": ["4", "5"]},
}


def test_food101_parts_are_those_of_its_meta_files(here: Path) -> None:
    food101(here / "food-101", FOOD)
    classes, train, test = read("food101", dir=str(here))
    assert classes == ["apple_pie", "waffles"]
    files = ["waffles/3", "waffles/1", "apple_pie/10", "apple_pie/9"]
    assert train.images == [f"food-101/images/{file}.jpg" for file in files]
    assert train.label.tolist() == [1, 1, 0, 0]
    assert test.label.tolist() == [0, 1, 1]
    found: Images = decoded("food101", 8, dir=str(here))
    assert found.names[4] == "food-101/images/apple_pie/2.jpg"
    shades = held(found).mean((2, 3))[:4, 0]
    assert np.abs(shades - [0, 5, 10, 15]).max() < 4  # JPEG


@pytest.mark.parametrize("gone", ["food-101/meta/test.json", "food-101/images"])
def test_food101_without_a_part_of_it(gone: str, here: Path) -> None:
    food101(here / "food-101", FOOD)
    (here / gone).rename(here / "elsewhere")
    with pytest.raises(UserError) as caught:
        read("food101", dir=str(here))
    assert f"no {here / gone}; " in str(caught.value)


def test_food101_with_a_torn_meta_file(here: Path) -> None:
    food101(here / "food-101", FOOD)
    (here / "food-101/meta/train.json").write_text('{"waffles": [')
    with pytest.raises(UserError, match=r"Food101 in .* cannot be read: JSONDecodeError"):
        read("food101", dir=str(here))


def test_food101_with_an_image_missing(here: Path) -> None:
    food101(here / "food-101", FOOD)
    (here / "food-101/images/waffles/1.jpg").unlink()
    with pytest.raises(UserError, match=r"no image file .*food-101/images/waffles/1.jpg"):
        decoded("food101", 8, dir=str(here))
