"""`sslkit convert`: a table that sslkit reads again, of as many rows as there were images."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from sslkit.datasets.csv import Csv
from tests.cli.call import assert_refused, sslkit
from tests.labelling.images import TRUTH
from tests.labelling.test_read import FIXTURES, OF_TWO, PLAIN

LABEL_STUDIO = FIXTURES / "label_studio"


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read_back(file: Path) -> dict[str, str]:
    """What `csv:FILE` makes of a table: image, by its place -> class."""
    classes, *parts = Csv(file=str(file)).read()
    names = [*classes, ""]
    found = {}
    for raw in parts:
        for path, label in zip(raw.images, raw.label.tolist(), strict=True):
            assert (file.parent / str(path)).is_file()
            found[str(path)] = names[label]
    return found


@pytest.mark.parametrize(
    ("place", "labels"),
    [
        ("label_studio/local/export.json", OF_TWO),
        ("datumaro/cvat", PLAIN),
        ("datumaro/datumaro", PLAIN),
        ("datumaro/coco_labels", PLAIN),
        ("datumaro/imagenet_txt", PLAIN),
        ("fiftyone/names", PLAIN),
        ("fiftyone/numbers", PLAIN),
    ],
)
def test_the_table_is_read_with_every_image_and_its_class(
    place: str, labels: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    out = tmp_path / "labels.csv"
    call = sslkit("convert", FIXTURES / place, out, "--images", photos, "--json")
    assert call.code == 0, call.err
    assert call.json["images"] == call.json["rows"] == len(table(out)) == 8
    assert call.json["labelled"] == sum(map(bool, labels.values()))
    assert read_back(out) == {f"photos/{name}": label for name, label in labels.items()}


def test_it_says_what_is_lost_and_directly_reads_as_much(tmp_path: Path, photos: Path) -> None:
    export = LABEL_STUDIO / "local/export.json"
    call = sslkit("convert", export, tmp_path / "labels.csv", "--images", photos)
    said = call.out.splitlines()
    assert "(Label Studio JSON): 8 images in, 8 rows out, 4 with a class: cat 2, dog 1, emu 1" in said[0]
    assert "annotators disagree, so no label: 1 image (photos/b/1.png)" in said
    assert "skipped by an annotator: 2 images (photos/4.png, photos/5.png)" in said
    shutil.rmtree(photos / "a")  # its only labelled image
    refused = sslkit("data", f"folder:{photos}", "--labels", f"file:{export}")
    assert_refused(refused, "1 of 8 rows match no image: 'photos/a/1.png' (image 2)")


def test_uploads_find_their_images_by_what_is_left_of_their_names(tmp_path: Path, photos: Path) -> None:
    export = LABEL_STUDIO / "upload/export.json"
    tasks = json.loads(export.read_text("utf-8"))
    refused = sslkit("convert", export, tmp_path / "labels.csv", "--images", photos)
    assert_refused(refused, "2 of 8 rows match", f"{tasks[0]['file_upload']}", f"{tasks[1]['file_upload']}")
    assert not (tmp_path / "labels.csv").exists()
    for task, folder in zip(tasks[:2], "ab", strict=True):  # under their names in the server's folder
        (photos / folder / "1.png").rename(photos / task["file_upload"])
    call = sslkit("convert", export, tmp_path / "labels.csv", "--images", photos, "--json")
    assert call.code == 0, call.err
    found = {row["path"].removeprefix("photos/"): row["label"] for row in table(tmp_path / "labels.csv")}
    named = {tasks[0]["file_upload"]: "cat", tasks[1]["file_upload"]: ""}
    assert found == {name: label for name, label in OF_TWO.items() if not name.endswith("/1.png")} | named


def test_a_zip_and_the_folder_around_it_are_looked_into(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as packed:
        for file in sorted((FIXTURES / "datumaro/cvat").iterdir()):
            packed.write(file, f"task 4/{file.name}")
    call = sslkit("convert", tmp_path / "task.zip", tmp_path / "labels.csv", "--json")
    assert call.code == 0, call.err
    assert {row["path"]: row["label"] for row in table(tmp_path / "labels.csv")} == PLAIN
    assert call.json["format"] == "cvat"


def test_pictures_beside_their_labels_are_found(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "datumaro/imagenet_with_subset_dirs", tmp_path / "export")
    out = tmp_path / "labels.csv"
    assert sslkit("convert", tmp_path / "export", out).code == 0
    found = read_back(out)
    assert len(found) == 9  # one lies in two folders
    assert sorted(found.values()) == sorted([label or "" for label in TRUTH.values()] + ["", "", ""])


def test_labels_are_put_onto_a_table(tmp_path: Path) -> None:
    base = tmp_path / "base.csv"
    base.write_text(
        "file,label,split,note\nb/1.png,emu,test,x\na/1.png,dog,train,x\n5.png,,train,x\n4.png,dog,train,x\n"
    )
    call = sslkit("convert", FIXTURES / "datumaro/cvat", tmp_path / "labels.csv", "--onto", base, "--json")
    assert call.code == 0, call.err
    assert {key: call.json[key] for key in ("changed", "new", "same", "added")} == {
        **{"changed": 2, "new": 1, "same": 0, "added": 4}
    }
    found = table(tmp_path / "labels.csv")
    assert [tuple(row.values()) for row in found[:4]] == [
        *(
            ("b/1.png", "dog", "test"),
            ("a/1.png", "cat", "train"),
            ("5.png", "emu", "train"),
            ("4.png", "dog", "train"),
        ),
    ]
    assert len(found) == 8


def test_a_table_is_one_format_of_many(tmp_path: Path) -> None:
    lines = tmp_path / "labels.jsonl"
    lines.write_text('{"file_name": "1.png", "label": "cat"}\n{"file_name": "2.png", "label": null}\n')
    call = sslkit("convert", lines, tmp_path / "labels.csv", "--json")
    assert call.code == 0, call.err
    assert (call.json["format"], call.json["rows"], call.json["labelled"]) == ("table", 2, 1)
    refused = sslkit("convert", lines, tmp_path / "other.csv", "--format", "cvat")
    assert_refused(refused, "is no CVAT for images")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", '{"images": [', ["JSON"]),
        ("a.json", '[{"data": {"text": "some words"}, "annotations": []}]', ["another task", "text"]),
        (
            "a.json",
            '[{"data": {"image": "1.png"}, "annotations": []}, {"id": 7, "data": {}, "annotations": []}]',
            ["1 of 2 tasks have no data 'image': 7"],
        ),
        ("a.xml", "<annotations><image", ["is no XML"]),
        ("a.xml", "<!DOCTYPE annotations><annotations><image name='1.png'/></annotations>", ["document type"]),
        ("a.xml", "<annotations><track id='0'/></annotations>", ["CVAT for video"]),
        ("a.xml", "<annotations><image name='1.png'><box label='a'/></image></annotations>", ["another task", "boxes"]),
        ("a.json", '{"classes": ["a"], "labels": {"1": 3}}', ["class 3", "there are 1"]),
        (
            "a.json",
            '{"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"image_id": 2, "category_id": 1}]}',
            ["none that is listed"],
        ),
        ("a.json", '{"categories": {}, "items": []}', ["names no image"]),
        ("a.xml", "<html/>", ["XML or HTML"]),
    ],
)
def test_broken_files_are_refused_in_a_line(name: str, text: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert_refused(sslkit("convert", tmp_path / name, tmp_path / "out.csv"), *words)
    assert not (tmp_path / "out.csv").exists()


def test_bad_requests(tmp_path: Path) -> None:
    out, export = tmp_path / "out.csv", LABEL_STUDIO / "local/export.json"
    assert_refused(sslkit("convert", tmp_path / "nothing.json", out), "No such file")
    assert_refused(sslkit("convert", export, out, "--format", "cvatt"), "did you mean 'cvat'")
    assert_refused(sslkit("convert", export, out, "--set", "data.label=part"), "none of the controls choice")
    assert_refused(sslkit("convert", export, out, "--set", "data.size=3"), "unknown key 'data.size'")
    assert_refused(sslkit("convert", export, out, "--images", tmp_path / "no"), "there is no such folder")
    (tmp_path / "empty").mkdir()
    assert_refused(sslkit("convert", tmp_path / "empty", out), "no folder that is known")
    out.write_text("")
    assert_refused(sslkit("convert", export, out), "exists and is not overwritten")
