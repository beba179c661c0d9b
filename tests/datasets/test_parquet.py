"""Parquet folders as people have them: any column names, words or numbers, holes, and files that are broken."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sslkit import registry
from sslkit.data import Raw
from sslkit.data.splits import split
from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.datasets.make import held


def png(shade: int, size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("L", (size, size), shade).save(file, "png")
    return file.getvalue()


def noise(size: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size), dtype=np.uint8)).save(file, "png")
    return file.getvalue()


def write(
    folder: Path,
    part: str,
    labels: Sequence[Any],
    *,
    image: str = "image",
    label: str = "label",
    struct: bool = True,
    names: Sequence[str] | None = None,
    images: Sequence[bytes] | None = None,
) -> None:
    folder.mkdir(exist_ok=True)
    encoded = images or [png(i % 256) for i in range(len(labels))]
    column = [{"bytes": b, "path": None} for b in encoded] if struct else encoded
    about = json.dumps({"info": {"features": {label: {"names": names}}}}) if names else None
    table = pa.table({image: column, label: labels})
    pq.write_table(table.replace_schema_metadata({"huggingface": about} if about else None), folder / f"{part}.parquet")


def read(folder: Path) -> tuple[list[str], Raw, Raw]:
    found: tuple[list[str], Raw, Raw] = registry.load("dataset", "parquet")(dir=str(folder)).read()
    return found


def test_numbers_with_gaps_are_mapped_in_their_order(tmp_path: Path) -> None:
    write(tmp_path, "train", [10, 7, 3, 7])
    write(tmp_path, "test", [3, 10])
    classes, train, test = read(tmp_path)
    assert classes == ["3", "7", "10"]
    assert train.label.tolist() == [2, 1, 0, 1]
    assert test.label.tolist() == [0, 2]


def test_numbers_with_names_in_the_metadata(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path, part, [0, 1, 2, -1], names=["2", "1", "0"])  # names that look like numbers
    classes, train, _ = read(tmp_path)
    assert classes == ["2", "1", "0"]
    assert train.label.tolist() == [0, 1, 2, -1]


@pytest.mark.parametrize("names", [["1", "2"], ["b", "a"]])
def test_numbers_are_places_in_the_names(names: list[str], tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path, part, [0, 1, 1], names=names)
    assert read(tmp_path)[1].label.tolist() == [0, 1, 1]


def test_words_are_sorted(tmp_path: Path) -> None:
    write(tmp_path, "train", ["dog", "cat", None, "ü"])
    write(tmp_path, "test", ["cat", "dog"])
    classes, train, test = read(tmp_path)
    assert classes == ["cat", "dog", "ü"]
    assert train.label.tolist() == [1, 0, -1, 2]
    assert test.label.tolist() == [0, 1]


def test_null_and_minus_one_are_unlabelled(tmp_path: Path) -> None:
    write(tmp_path, "train", [0, None, -1, 1] * 4)
    write(tmp_path, "test", [0, 1])
    prepared = prepare({"data": f"parquet:{tmp_path}", "data.labels": "2/class", "backbone": "vit_micro"})
    assert (prepared.images.label[:4]).tolist() == [0, -1, -1, 1]
    hidden = np.flatnonzero(prepared.images.label == -1)
    assert np.isin(hidden, prepared.split.pool).all()


@pytest.mark.parametrize("struct", [True, False])
@pytest.mark.parametrize(("image", "label"), [("img", "fine_label"), ("picture", "class"), ("x", "y"), ("jpg", "cls")])
def test_any_column_names(image: str, label: str, struct: bool, tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path, part, [0, 1], image=image, label=label, struct=struct)
    classes, train, _ = read(tmp_path)
    assert classes == ["0", "1"]
    assert train.images == [png(0), png(1)]


def test_the_label_column_is_the_one_called_so(tmp_path: Path) -> None:
    for part in ("train", "test"):
        table = pa.table({"id": [7, 8], "image": [png(0), png(1)], "label": [1, 0], "note": ["a", "b"]})
        pq.write_table(table, tmp_path / f"{part}.parquet")
    assert read(tmp_path)[1].label.tolist() == [1, 0]


@pytest.mark.parametrize("name", ["test-00000-of-00001", "validation-0", "valid", "val"])
def test_names_of_the_test_part(name: str, tmp_path: Path) -> None:
    write(tmp_path, "train-00000-of-00002", [0, 1])
    write(tmp_path, "train-00001-of-00002", [1, 1])
    write(tmp_path, name, [0])
    _, train, test = read(tmp_path)
    assert train.label.tolist() == [0, 1, 1, 1]
    assert len(test.images) == 1


def test_test_beats_validation(tmp_path: Path) -> None:
    write(tmp_path, "train", [0, 1])
    write(tmp_path, "validation", [0])
    write(tmp_path, "test", [0, 1])
    assert len(read(tmp_path)[2].images) == 2


# case -> (labels of the training part, of the test part or None for no such file, words of the answer, more)
REFUSED: dict[str, tuple[Any, Any, str, dict[str, Any]]] = {
    "no train": (None, [0], "holds no train", {}),
    "no part of training": (None, [0, 1], "holds no train*.parquet, only test.parquet", {}),
    "several labels a row": ([[0], [0, 1], [1]], [[0]], "row 1 has several labels, [0, 1]", {}),
    "several labels in the test": ([[0], [1]], [["a", "b"], ["a"]], "row 0 has several labels, ['a', 'b']", {}),
    "numbers that are no classes": ([0.5, 1.5], [0.5], "holds 0.5, a measure and no class", {}),
    "new class in test": (["a", "b"], ["c"], "['c']", {}),
    "label beyond the names": ([0, 1, 7], [0, 1], "7", {"names": ["a", "b"]}),
    "no label in training": ([-1, -1], [0], "labels that are no class of the training part: ['0']", {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused(case: str, tmp_path: Path) -> None:
    train, test, words, more = REFUSED[case]
    for part, labels in (("train", train), ("test", test)):
        if labels is not None:
            write(tmp_path, part, labels, **more)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parts_with_other_columns_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", [0, 1])
    write(tmp_path, "test", [0], label="target")
    with pytest.raises(UserError, match="other columns"):
        read(tmp_path)


def test_one_class_is_refused(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path, part, [0] * 8)
    with pytest.raises(UserError, match="class"):
        prepare({"data": f"parquet:{tmp_path}", "data.labels": "2/class", "backbone": "vit_micro"})


def test_a_folder_that_is_not_there_and_a_file(tmp_path: Path) -> None:
    write(tmp_path, "test", [0, 1])
    with pytest.raises(UserError, match="no folder or file"):
        read(tmp_path / "gone")
    with pytest.raises(UserError, match=r"no train\*\.parquet, only test.*; parquet:.*test.*parquet takes that file"):
        read(tmp_path)
    classes, train, test = read(next(tmp_path.glob("*.parquet")))
    assert (classes, len(train.images), len(test.images)) == (["0", "1"], 2, 0)


def test_torn_file_and_bad_metadata_are_one_line(tmp_path: Path) -> None:
    write(tmp_path, "test", [0])
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="cannot read the train part"):
        read(tmp_path)
    table = pa.table({"image": [png(0)], "label": [0]}).replace_schema_metadata({"huggingface": "{not json"})
    for part in ("train", "test"):
        pq.write_table(table, tmp_path / f"{part}.parquet")
    assert read(tmp_path)[0] == ["0"]


BROKEN = {
    "cut in the header": png(3, 16)[:40],
    "cut in the pixels": noise(64)[:2000],
    "empty": b"",
    "missing": None,
    "text": b"not an image",
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_images_are_named(case: str, tmp_path: Path) -> None:
    images: list[Any] = [png(i, 16) for i in range(8)]
    images[5] = BROKEN[case]
    write(tmp_path, "train", [0, 1] * 4, images=images)
    write(tmp_path, "test", [0, 1])
    with pytest.raises(UserError) as caught:
        prepare({"data": f"parquet:{tmp_path}", "data.labels": "2/class", "backbone": "vit_micro", "data.size": 8})
    assert "image 5" in str(caught.value)
    assert "0x" not in str(caught.value), "an address is of no use to anybody"


def test_a_broken_test_image_is_named_within_its_part(tmp_path: Path) -> None:
    write(tmp_path, "train", [0, 1] * 4)
    write(tmp_path, "test", [0, 1], images=[png(0), b"no"])
    with pytest.raises(UserError) as caught:
        prepare({"data": f"parquet:{tmp_path}", "data.labels": "2/class", "backbone": "vit_micro", "data.size": 8})
    assert "test" in str(caught.value)


def test_sizes_and_modes_become_one_square_of_three_channels(tmp_path: Path) -> None:
    images = []
    for mode, size in (("L", (8, 12)), ("RGBA", (12, 8)), ("P", (8, 8)), ("CMYK", (9, 8))):
        file = io.BytesIO()
        Image.new(mode, size).save(file, "tiff")
        images.append(file.getvalue())
    write(tmp_path, "train", [0, 1, 0, 1], images=images)
    write(tmp_path, "test", [0, 1])
    prepared = prepare({"data": f"parquet:{tmp_path}", "data.labels": "1/class", "backbone": "vit_micro"})
    assert prepared.config.data.size == 8
    assert prepared.images.pixels.shape == (6, 3, 8, 8)
    assert len(split(prepared.images, prepared.config.data, 0).labeled) == 2


def test_sixteen_bits_are_scaled_by_depth(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint16).reshape(8, 8) * 4
    found = []
    for pixels in (grey * 257, grey.astype(np.uint8)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        for part in ("train", "test"):
            write(tmp_path, part, [0, 1], images=[file.getvalue()] * 2)
        request = {"data": f"parquet:{tmp_path}", "data.labels": "1/class", "data.pool": "all"}
        found.append(held(prepare(request | {"backbone": "vit_micro"}).images))
    assert np.array_equal(found[0], found[1])


def test_decoded_images_are_kept_and_a_damaged_cache_is_no_harm(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path / "d", part, [0, 1] * 4)
    request = {"data": f"parquet:{tmp_path / 'd'}", "data.labels": "1/class", "backbone": "vit_micro"}
    first = prepare(request, tmp_path / "cache").images
    (kept,) = (tmp_path / "cache").glob("*.npy")
    assert np.array_equal(held(prepare(request, tmp_path / "cache").images), held(first))
    kept.write_bytes(kept.read_bytes()[:100])
    assert prepare(request, tmp_path / "cache").images.fingerprint == first.fingerprint
