"""A drive that fails at times: images are read again, which is said; one that goes on failing ends in a line."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFile

from sslkit.data.duplicates import content
from sslkit.data.image import BadImageError, Square, read_rgb, to_pixels
from sslkit.data.stored import identity
from sslkit.datasets._folders import files_below
from sslkit.finished.inputs import inputs
from sslkit.prepare import gather
from sslkit.store import drives
from tests.cli.call import assert_refused, run
from tests.datasets.make import picture


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drives, "WAITS", (0.0, 0.0, 0.0))
    drives.said()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def failing(times: int, code: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, which fails with this error the first times that it is called."""
    left = [times]

    def call(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(code, os.strerror(code), "a.png")
        return real(*arguments, **named)

    return call


PLACES = {
    "opened": (Image, "open"),
    "decoded": (ImageFile.ImageFile, "load"),
    "known": (os, "stat"),
    "hashed": (hashlib, "file_digest"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN])
def test_what_passes_is_tried_again_and_said(
    place: str, times: int, code: int, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, known, hashed = to_pixels(image, Square(8), "a.png"), identity(image), content(image)
    owner, name = PLACES[place]
    monkeypatch.setattr(owner, name, failing(times, code, getattr(owner, name)))
    if place == "known":
        assert identity(str(image)) == known
    elif place == "hashed":
        assert content(image) == hashed
    else:
        np.testing.assert_array_equal(to_pixels(image, Square(8), "a.png"), expected)
    monkeypatch.undo()
    [sentence] = drives.said()
    assert sentence.startswith("the drive failed at 1 read, which went well when tried again; the first: ")
    assert os.strerror(code) in sentence
    assert "a.png" in sentence
    assert drives.said() == [], "once"


@pytest.mark.parametrize("place", ["opened", "decoded"])
def test_what_does_not_pass_ends_in_a_line_and_is_no_bad_image(
    place: str, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = PLACES[place]
    monkeypatch.setattr(owner, name, failing(4, errno.EIO, getattr(owner, name)))
    with pytest.raises(drives.DriveError, match=r"a\.png .*Input/output error.*tried 4 times"):
        read_rgb(image, "a.png")
    read_rgb(image, "a.png")
    assert drives.said() == [], "nothing went well"


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.EINVAL])
def test_what_the_file_is_to_blame_for_is_not_tried_again(
    code: int, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "open", failing(1, code, Image.open))
    with pytest.raises(BadImageError):
        read_rgb(image, "a.png")
    (image.parent / "b.png").write_bytes(image.read_bytes()[:45])
    with pytest.raises(BadImageError, match=r"b\.png cannot be decoded"):
        read_rgb(image.parent / "b.png", "b.png")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sslkit.terminal.screen.step_seconds", lambda *_: {})
    draw = np.random.default_rng(0)
    for i in range(20):
        (tmp_path / "photos" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / f"photos/{'ab'[i % 2]}/{i}.png")
    return tmp_path / "photos"


TABLES = {"csv:t.csv": (io, "open"), "parquet:p": (pq, "read_table")}
LISTED: dict[str, tuple[Any, str]] = {
    "folder:photos": (os, "scandir"),
    "photos": (os, "scandir"),
    **TABLES,
    "t.csv": (io, "open"),
}


@pytest.mark.parametrize("times", [1, 3, 4])
@pytest.mark.parametrize("word", LISTED)
def test_lists_of_images_are_read_again(word: str, times: int, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(photos.rglob("*.png"))
    frame = pd.DataFrame({"path": [f"photos/{f.parent.name}/{f.name}" for f in files], "label": [*"ab"] * 10})
    frame.to_csv("t.csv", index=False)
    Path("p").mkdir()
    frame.assign(path=[f.read_bytes() for f in files]).to_parquet("p/0.parquet")

    def read() -> list[str]:
        if ":" in word:
            return [*gather({"data": word, "data.labels": "all", "backbone": "vit_micro"}).parts.names]
        return [one.name for one in inputs([word], ["a", "b"])]

    expected = read()
    owner, name = LISTED[word]
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, failing(times, errno.ESTALE, real))
    if times == 4:
        with pytest.raises(drives.DriveError, match="tried 4 times"):
            read()
        return
    assert read() == expected
    assert len(expected) == 20
    assert len(drives.said()) == 1


@pytest.mark.parametrize("nth", range(6))
def test_a_folder_is_none_the_less_one_where_the_drive_fails_when_it_is_asked(
    nth: int, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some drives are asked for each name what it is: nothing is lost where they fail at one of them."""
    (photos / "a" / "deep").mkdir()
    picture(photos / "a" / "deep" / "x.png", 7)
    real, asked = os.scandir, [0]

    class Entry:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.entry, self.name, self.path = entry, entry.name, entry.path
            self.is_symlink, self.is_file = entry.is_symlink, entry.is_file

        def is_dir(self) -> bool:
            asked[0] += 1
            if asked[0] == nth + 1:
                raise OSError(errno.EIO, "Input/output error")
            return self.entry.is_dir()

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda path: map(Entry, sorted(real(path), key=lambda e: not e.is_dir())))
        found = gather({"data": "folder:photos", "data.labels": "all", "backbone": "vit_micro"})
    assert len(found.parts.names) == 21
    assert asked[0] > nth
    assert len(drives.said()) == 1


@pytest.mark.parametrize("listed", [False, True])
def test_a_file_is_no_damaged_image_where_the_drive_fails_when_it_is_asked(
    listed: bool, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = image.rename(image.parent / "bare")
    read: Callable[..., Any] = files_below if listed else read_rgb
    words = (bare.parent, "") if listed else (str(bare), "bare")
    real, once = os.stat, failing(1, errno.EIO, os.stat)
    monkeypatch.setattr(os, "stat", lambda path, **how: (once if str(path) == str(bare) else real)(path, **how))
    found = drives.tried_again(read)(*words)
    assert found == ["bare"] if listed else found.size == (8, 8)
    assert len(drives.said()) == 1


ASKED = ("--data", "folder:photos", "--labels", "all", "--stages", "finetune", "--weights", "none", "--json")


@pytest.mark.parametrize("on_demand", [False, True])
def test_a_run_says_it(on_demand: bool, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with what is said before training, and decoding for every batch after the stage."""
    late = ("--set", "data.cache_gb=0") if on_demand else ()
    monkeypatch.setattr(ImageFile.ImageFile, "load", failing(2, errno.EIO, ImageFile.ImageFile.load))
    made = run(*ASKED, *late)
    assert made.code == 0, made.err
    assert made.err.count("which went well when tried again") == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="a file that always fails is there on Linux alone")
@pytest.mark.parametrize("rule", ["stop", "skip"])
def test_a_drive_that_is_gone_ends_in_a_line_whatever_the_rule_for_bad_images(rule: str, photos: Path) -> None:
    """What Linux answers when the memory at address 0 is read: EIO."""
    (photos / "a" / "99.png").symlink_to("/proc/self/mem")
    assert_refused(run(*ASKED, "--on-bad-image", rule), "a/99.png", "Input/output error", "the way to it fails")
