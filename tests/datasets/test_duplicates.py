"""Byte-equal images of training and test: found by content, said, and left out of training on request."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sslkit.data import Raw, duplicates
from sslkit.data.duplicates import equal_images
from sslkit.errors import UserError
from sslkit.prepare import Prepared, prepare
from sslkit.store import read_json
from tests.cli.call import folder_of, run
from tests.datasets.make import picture, read
from tests.kernel.make import TINY

Pairs = list[tuple[str, str]]


@pytest.fixture
def pets(here: Path) -> Path:
    """20 + 6 different images, of which three are planted a second time."""
    for i in range(20):
        picture(here / f"pets/train/{'cat' if i < 10 else 'dog'}/{i:02}.bmp", 5 + i)
    for i in range(6):
        picture(here / f"pets/test/{'cat' if i < 3 else 'dog'}/t{i}.bmp", 100 + i)
    for source, copy in (
        ("test/cat/t1", "train/cat/copy"),
        ("test/dog/t4", "unlabeled/x"),
        ("test/dog/t4", "train/dog/wrong"),
    ):
        (here / f"pets/{copy}.bmp").parent.mkdir(exist_ok=True)
        shutil.copy(here / f"pets/{source}.bmp", here / f"pets/{copy}.bmp")
    return here / "pets"


PLANTED = [
    ["train/cat/copy.bmp", "test/cat/t1.bmp"],
    ["train/dog/wrong.bmp", "test/dog/t4.bmp"],
    ["unlabeled/x.bmp", "test/dog/t4.bmp"],
]


def asked(root: Path, cache: Path | None = None, **keys: Any) -> Prepared:
    request = {"data": f"folder:{root}", "data.labels": "2/class"} | {f"data.{k}": v for k, v in keys.items()}
    return prepare(TINY | request, cache)


def test_they_are_said_at_the_start_with_number_and_names_and_stored(pets: Path) -> None:
    call = run("--data", "folder:pets", "--labels", "2/class", "--json")
    assert call.code == 0, call.err
    assert (
        "exact duplicates of test images among 23 training images: 3, kept in training nevertheless (--remove"
        in call.err
    )
    assert "train/cat/copy.bmp = test/cat/t1.bmp" in call.err
    assert read_json(folder_of(call, Path("runs")) / "data.json")["byte_equal"] == PLANTED


def test_on_request_training_is_without_them(pets: Path) -> None:
    call = run("--data", "folder:pets", "--labels", "all", "--remove-duplicates", "--json")
    assert call.code == 2, "all images are labelled, so the pool is empty"
    made = asked(pets, duplicates="drop")
    assert any("exact duplicates of test images among 23 training images: 3, left out" in r for r in made.remarks)
    for name, _ in PLANTED:
        (pets / name).unlink()
    clean = asked(pets)
    assert clean.images.fingerprint == made.images.fingerprint
    assert list(clean.images.names) == list(made.images.names)
    assert not any("exact duplicates" in remark for remark in clean.remarks)


def test_positions_are_refused_where_images_were_removed_and_else_hold(pets: Path) -> None:
    Path("i.csv").write_text("Index\n0\n12\n")
    assert sorted(asked(pets, labels="index:i.csv").split.labeled) == [0, 12]
    with pytest.raises(UserError, match="use file:FILE"):
        asked(pets, labels="index:i.csv", duplicates="drop")


def test_of_a_test_part_that_was_set_aside(here: Path) -> None:
    for i in range(30):
        picture(here / f"d/{'ab'[i % 2]}/{i:02}.bmp", i)
        shutil.copy(here / f"d/{'ab'[i % 2]}/{i:02}.bmp", here / f"d/{'ab'[i % 2]}/copy{i:02}.bmp")
    made = asked(here / "d", duplicates="drop")
    names = [name.replace("copy", "") for name in made.images.names]
    assert not {*names[: made.images.train]} & {*names[made.images.train :]}
    assert len(made.split.test) == 12


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["bytes", "arrays", "files"])
def test_against_every_pair(kind: str, seed: int, here: Path) -> None:
    """Contents of few sizes, many with the same end or beginning."""
    draw = np.random.default_rng(seed)
    blocks = [draw.bytes(700) for _ in range(3)]

    def made(count: int, part: str) -> Raw:
        contents = [b"".join(blocks[k] for k in draw.integers(0, 3, draw.integers(1, 5))) for _ in range(count)]
        if kind == "arrays":
            images: Any = np.stack([np.frombuffer((c * 4)[:2700], np.uint8).reshape(30, 30, 3) for c in contents])
        elif kind == "files":
            images = [f"{part}{i}" for i in range(count)]
            for name, content in zip(images, contents, strict=True):
                (here / name).write_bytes(content)
        else:
            images = contents
        return Raw(images, np.zeros(count, np.int64), root=here)

    train, test = made(60, "a"), made(20, "b")

    def content(raw: Raw, i: int) -> bytes:
        source = raw.source(i)
        return Path(source).read_bytes() if isinstance(source, str) else bytes(source)

    expected = []
    for i in range(60):
        same = [j for j in range(20) if content(train, i) == content(test, j)]
        expected += [(i, same[0])] if same else []
    assert len(expected) > 3
    assert [tuple(pair) for pair in equal_images(train, test)] == expected


def test_images_that_cannot_be_read_are_equal_to_none() -> None:
    label = np.zeros(2, np.int64)
    assert not equal_images(Raw([b"", b"x"], label), Raw([b"", b"y"], label))
    assert not equal_images(Raw(["gone", "."], label), Raw(["gone", "."], label))


def test_files_of_different_sizes_are_not_opened_and_the_answer_is_remembered(
    pets: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pets / "test/cat/odd.bmp").write_bytes((pets / "test/cat/t0.bmp").read_bytes() + b"\0")
    opened: list[str] = []
    real = duplicates._tail

    def counted(source: Any) -> Any:
        opened.append(source)
        return real(source)

    monkeypatch.setattr(duplicates, "_tail", counted)
    _, train, test = read("folder", dir=str(pets))
    first = equal_images(train, test, here / "cache")
    assert str(pets / "test/cat/odd.bmp") not in opened
    count = len(opened)
    assert equal_images(train, test, here / "cache") == first
    assert len(opened) == count
