"""`sslkit predict RUN images.tar`: what it gives of the folder that was packed, image by image."""

from __future__ import annotations

import csv
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.call import assert_refused, sslkit
from tests.cli.conftest import Finished

KINDS = {"tar": "tar", "tar.gz": "gztar", "tar.bz2": "bztar", "tar.xz": "xztar", "zip": "zip"}


@pytest.fixture
def packed() -> Path:
    """Class folders of digits, one file that is no image, one that is hidden."""
    draw = np.random.default_rng(0)
    for name in ("3/a.png", "3/b b.png", "7/deep/c.png", "ü.png"):
        file = Path("digits", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8), np.uint8)).save(file)
    Path("digits/notes.txt").write_text("no image")
    Path("digits/._a.png").write_text("of another system")
    return Path("digits")


def rows(file: str) -> dict[str, tuple[str, ...]]:
    with open(file, encoding="utf-8", newline="") as text:
        return {row.pop("file").split("digits/", 1)[-1]: tuple(row.values()) for row in csv.DictReader(text)}


@pytest.mark.parametrize("suffix", KINDS)
def test_it_is_what_the_folder_gives(suffix: str, packed: Path, finished: Finished) -> None:
    whole = sslkit("predict", finished.folder, packed, "--out", "whole.csv", "--json")
    made = shutil.make_archive("images", KINDS[suffix], ".", str(packed))
    shutil.rmtree(packed)
    found = sslkit("predict", finished.folder, f"images.{suffix}", "--out", "found.csv", "--json")
    assert found.code == 0, found.err
    assert Path(made).name == f"images.{suffix}"
    assert rows("found.csv") == rows("whole.csv")
    assert found.json["labeled"] == whole.json["labeled"] == 3
    assert found.json["top1"] == whole.json["top1"]


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_a_damaged_archive_and_one_without_an_image_are_one_line(suffix: str, finished: Finished) -> None:
    Path("few").mkdir()
    Path("few/notes.txt").write_text("no image")
    shutil.make_archive("empty", KINDS[suffix], ".", "few")
    assert_refused(sslkit("predict", finished.folder, f"empty.{suffix}"), f"no image in empty.{suffix}", "1 .txt")
    Path(f"torn.{suffix}").write_bytes(b"not an archive " * 99)
    assert_refused(sslkit("predict", finished.folder, f"torn.{suffix}"), f"torn.{suffix} cannot be read")


def test_an_image_that_is_cut_off_has_a_row_that_says_why(packed: Path, finished: Finished) -> None:
    content = Path("digits/3/a.png").read_bytes()
    Path("digits/3/a.png").write_bytes(content[: len(content) // 2])
    with tarfile.open("images.tar", "w") as archive:
        archive.add(packed)
    assert sslkit("predict", finished.folder, "images.tar", "--out", "found.csv").code == 0
    statuses = {name: row[-1] for name, row in rows("found.csv").items()}
    assert "cannot be decoded" in statuses.pop("3/a.png")
    assert len(statuses) == 3
    assert all("cannot" not in status for status in statuses.values())
