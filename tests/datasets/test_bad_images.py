"""Images that cannot be read: stop at the first by name, or skip, count and list them; the answer is remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sslkit.data import Raw, checking
from sslkit.data.checking import bad_images
from sslkit.data.image import Square, Tone, read_rgb, to_pixels
from sslkit.errors import UserError
from sslkit.prepare import Prepared, prepare
from sslkit.store import read_json
from tests.cli.call import assert_refused, folder_of, run
from tests.datasets.make import own, picture, read
from tests.kernel.make import TINY

BAD = {
    "train/cat/cat3.png": "is not an image that Pillow knows",
    "train/dog/torn.jpg": "cannot be decoded: OSError: image file is truncated",
    "unlabeled/empty.png": "is not an image that Pillow knows",
    "test/dog/gone.png": "no image file",
}


@pytest.fixture
def pets(here: Path) -> Path:
    """The folder of `own` with images of noise, and one of each kind that cannot be read."""
    own(here / "pets")
    for i, file in enumerate(sorted((here / "pets").rglob("*.png"))):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    (here / "pets/train/cat/cat3.png").write_text("<html>")
    big = here / "big.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(big)
    (here / "pets/train/dog/torn.jpg").write_bytes(big.read_bytes()[:2000])
    (here / "pets/unlabeled/empty.png").write_bytes(b"")
    (here / "pets/test/dog/gone.png").symlink_to(here / "nowhere")
    return here / "pets"


def asked(root: Path, cache: Path | None = None, **keys: Any) -> Prepared:
    request = {"data": f"folder:{root}", "data.labels": "2/class"} | {f"data.{k}": v for k, v in keys.items()}
    return prepare(TINY | request, cache)


@pytest.mark.parametrize("how", [["--cache-gb", "1"], ["--cache-gb", "0"], ["--set", "data.whole=true"]])
def test_by_default_a_run_stops_and_names_all_files_and_what_can_be_done(pets: Path, how: list[str]) -> None:
    """In memory, and decoded for every batch, where a file would else be met late."""
    call = run("--data", "folder:pets", "--labels", "2/class", *how)
    assert_refused(call, *(f"{name} {reason}" for name, reason in BAD.items() if "no image file" not in reason))
    assert_refused(call, "4 of 22 images cannot be read: ", "test/dog/gone.png; --on-bad-image skip goes on without")


def test_skipped_images_are_counted_listed_and_in_no_part(pets: Path) -> None:
    call = run("--data", "folder:pets", "--labels", "2/class", "--on-bad-image", "skip", "--json")
    assert call.code == 0, call.err
    assert "4 of 22 images cannot be read and are left out: 'train/cat/cat3.png is not an image" in call.err
    assert "cat 5 + 2, dog 6 + 2; training images without a label: 3" in call.err
    listed = read_json(folder_of(call, Path("runs")) / "data.json")["bad_images"]
    assert len(listed) == len(BAD)
    for (name, reason), found in zip(BAD.items(), listed, strict=True):
        assert reason in found
        assert name in found


def test_the_others_are_as_if_the_bad_ones_were_not_there(pets: Path) -> None:
    skipped = asked(pets, on_bad_image="skip")
    for name in BAD:
        (pets / name).unlink()
    whole = asked(pets)
    assert skipped.images.fingerprint == whole.images.fingerprint
    assert list(skipped.images.names) == list(whole.images.names)
    assert skipped.split.labeled.tolist() == whole.split.labeled.tolist()
    assert not any("cannot be read" in remark for remark in whole.remarks)


def test_skipping_with_nothing_to_skip_says_nothing(here: Path) -> None:
    own(here / "pets")
    assert not any("cannot be read" in remark for remark in asked(here / "pets", on_bad_image="skip").remarks)


def test_lists_of_positions_are_refused_where_images_are_skipped(pets: Path) -> None:
    Path("i.csv").write_text("Index\n0\n7\n")
    with pytest.raises(UserError, match=r"use file:FILE.csv, which names images"):
        asked(pets, on_bad_image="skip", labels="index:i.csv")


def test_the_answer_is_remembered_until_a_file_changes(pets: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def counted(item: Any, name: str, tone: Tone) -> Any:
        opened.append(name)
        return read_rgb(item, name, tone)

    monkeypatch.setattr(checking, "read_rgb", counted)
    first = asked(pets, here / "cache", on_bad_image="skip")
    assert len(opened) == 22
    again = asked(pets, here / "cache", on_bad_image="skip")
    assert len(opened) == 22 + len(BAD)
    assert again.stored == first.stored
    (pets / "train/cat/cat0.png").write_text("torn")
    assert len(asked(pets, here / "cache", on_bad_image="skip").stored["bad_images"]) == 5
    assert len(opened) == 22 + 2 * len(BAD) + 1
    for file in (here / "cache").glob("seen-*"):
        file.write_text("torn")
    assert len(asked(pets, here / "cache", on_bad_image="skip").stored["bad_images"]) == 5
    assert len(opened) == 2 * 22 + 2 * len(BAD) + 1


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_the_second_time_nothing_is_opened_and_a_new_image_alone_is(
    kind: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def counted(item: Any, name: str, tone: Tone) -> Any:
        opened.append(name)
        return read_rgb(item, name)

    own(here / "pets")

    def images() -> str:
        if kind == "folder":
            return f"folder:{here / 'pets'}"
        (here / "p").mkdir(exist_ok=True)
        for part in ("train", "test"):
            files = sorted((here / "pets" / part).rglob("*.png"))
            rows = {
                "image": [f.read_bytes() + bytes(i) for i, f in enumerate(files)],
                "label": [f.parent.name for f in files],
            }
            pq.write_table(pa.table(rows), here / f"p/{part}.parquet")
        return f"parquet:{here / 'p'}"

    def ask() -> int:
        opened.clear()
        request = {"data": images(), "data.labels": "2/class", "data.cache_gb": 0.0}
        prepare(TINY | request, here / "cache")
        return len(opened)

    monkeypatch.setattr(checking, "read_rgb", counted)
    count = ask()
    assert count > 10
    assert ask() == 0
    picture(here / "pets/train/cat/zz.png", 99)
    assert ask() == (1 if kind == "folder" else 1 + 6)  # later rows have other bytes here


def test_many_are_named_up_to_a_number(here: Path) -> None:
    own(here / "pets")
    for i in range(30):
        (here / f"pets/train/cat/bad{i:02}.png").write_text("torn")
    with pytest.raises(
        UserError, match=r"^30 of \d+ images cannot be read: .*bad00.*bad19[^;]*; and 10 more; --on-bad"
    ):
        asked(here / "pets", cache_gb=0.0)


def test_images_that_are_decoded_on_demand_are_checked_before(pets: Path) -> None:
    made = asked(pets, on_bad_image="skip", cache_gb=0.0)
    assert len(made.images.subset(np.arange(len(made.images.names)))[0:18]) == 18


def test_when_nothing_is_left(here: Path) -> None:
    own(here / "pets")
    for file in (here / "pets/train").rglob("*.png"):
        file.write_text("torn")
    for file in (here / "pets/unlabeled").rglob("*.png"):
        file.unlink()
    with pytest.raises(UserError, match=r"none of the 12 training images can be read: train/cat/cat0.png is not an"):
        asked(here / "pets", on_bad_image="skip")


def test_encoded_images_in_a_table_and_arrays() -> None:
    good = Path(__file__).parents[2] / "docs/views.png"
    raw = Raw([good.read_bytes(), b"", good.read_bytes()[:5000]], np.zeros(3, np.int64))
    found = bad_images(raw, "train")
    assert sorted(found) == [1, 2]
    assert found[1].startswith("train image 1 is not an image")
    assert not bad_images(Raw(np.zeros((3, 4, 4), np.uint8), np.zeros(3, np.int64)), "train")


def test_an_image_is_bad_here_where_decoding_refuses_it(pets: Path) -> None:
    _, train, _ = read("folder", dir=str(pets))
    refused = set()
    for i in range(len(train.images)):
        try:
            to_pixels(train.source(i), Square(8), train.name(i, "train"))
        except UserError:
            refused.add(i)
    assert refused == {*bad_images(train, "train")}
