"""Labels in parquet files as other programs write them, and images without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.datasets.test_parquet import png, read, write


def test_lists_of_one_label_are_labels(tmp_path: Path) -> None:
    write(tmp_path, "train", [["cat"], None, [], ["dog"]])
    write(tmp_path, "test", [["dog"]])
    classes, train, test = read(tmp_path)
    assert classes == ["cat", "dog"]
    assert (train.label.tolist(), test.label.tolist()) == ([0, -1, -1, 1], [1])


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_words_as_other_programs_write_them(kind: Any, tmp_path: Path) -> None:
    for part in ("train", "test"):
        label = pa.array(["dog", "cat", None]).cast(kind)
        pq.write_table(pa.table({"image": [png(0), png(1), png(2)], "label": label}), tmp_path / f"{part}.parquet")
    assert read(tmp_path)[0] == ["cat", "dog"]
    assert read(tmp_path)[1].label.tolist() == [1, 0, -1]


def test_images_without_a_column_of_labels_are_unlabelled(tmp_path: Path) -> None:
    write(tmp_path, "train", [0, 1] * 5)
    pq.write_table(
        pa.table({"image": [{"bytes": png(i), "path": None} for i in (7, 8)]}), tmp_path / "unlabeled-0.parquet"
    )
    write(tmp_path, "test", [0, 1])
    _, train, test = read(tmp_path)
    assert train.label.tolist() == [0, 1] * 5 + [-1, -1]
    assert train.images[-2:] == [png(7), png(8)]
    assert len(test.images) == 2


@pytest.mark.parametrize("labels", [[None] * 6, [-1] * 6, None], ids=["null", "-1", "no column"])
def test_without_any_label_a_file_of_labels_gives_the_classes(labels: Any, tmp_path: Path) -> None:
    images = {"image": [png(i) for i in range(6)]}
    pq.write_table(pa.table(images | ({"label": labels} if labels else {})), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"no image has a label; add --labels file:FILE.csv"):
        prepare({"data": f"parquet:{tmp_path}", "data.labels": "1/class", "backbone": "vit_micro"})
    table = tmp_path / "l.csv"
    table.write_text("path,label\n" + "".join(f"train image {i},{'ab'[i % 2]}\n" for i in range(5)))
    made = prepare({"data": f"parquet:{tmp_path}", "data.labels": f"file:{table}", "backbone": "vit_micro"})
    assert made.images.classes == ["a", "b"]
    assert (len(made.split.labeled), len(made.split.pool), len(made.split.test)) == (3, 1, 2)
    assert all(name.startswith("train image ") for name in made.images.names)


@pytest.mark.parametrize("labels", [[-1, None], None])
def test_without_a_labelled_test_part_one_is_set_aside(labels: Any, tmp_path: Path) -> None:
    write(tmp_path, "train", [0, 1] * 5)
    if labels:
        write(tmp_path, "test", labels)
    made = prepare({"data": f"parquet:{tmp_path}", "data.labels": "2/class", "backbone": "vit_micro"})
    assert sorted(made.images.label[made.split.test].tolist()) == [0, 1]
    assert any("2 test images without a label are not used" in remark for remark in made.remarks) == bool(labels)
