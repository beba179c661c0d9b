"""The columns of a table that labels a part of `folder:` can be named, as everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslkit.errors import UserError
from tests.datasets.make import pictures, read

ROWS = [("0.png", "north", "cat"), ("1.png", "south", "dog"), ("2.png", "south", "cat")]


@pytest.fixture
def root(here: Path) -> Path:
    pictures(here / "d", [f"train/{name}/{i}.png" for name in ("cat", "dog") for i in range(4)])
    pictures(here / "d", [f"test/{name}" for name, *_ in ROWS])
    (here / "d/test.csv").write_text("image,site,species\n" + "".join(",".join(row) + "\n" for row in ROWS))
    return here / "d"


def test_the_column_of_labels_is_named(root: Path) -> None:
    classes, _, test = read("folder", dir=str(root), label="species")
    assert {Path(f).name: classes[c] for f, c in zip(test.images, test.label, strict=True)} == {
        r[0]: r[2] for r in ROWS
    }


def test_a_column_that_is_not_there_and_one_of_no_table_are_one_line(root: Path) -> None:
    with pytest.raises(UserError, match="kind"):
        read("folder", dir=str(root), label="kind")
    (root / "test.csv").unlink()
    for i, name in enumerate(("cat", "dog", "cat")):
        (root / "test" / name).mkdir(exist_ok=True)
        (root / f"test/{i}.png").rename(root / f"test/{name}/{i}.png")
    with pytest.raises(UserError, match="no table gives labels"):
        read("folder", dir=str(root), label="species")


def test_a_heap_labelled_by_its_table(here: Path) -> None:
    pictures(here / "h", [name for name, *_ in ROWS])
    (here / "h/about.csv").write_text("image,site,species\n" + "".join(",".join(row) + "\n" for row in ROWS))
    classes, train, _ = read("folder", dir=str(here / "h"), label="site")
    assert classes == ["north", "south"]
    assert sorted(train.label.tolist()) == [0, 1, 1]
