"""Files that the tools wrote: each image is a row, with its class, and what is left out is named.

`fixtures/` was made by the tools themselves; the `make_*.py` beside it say which versions.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sslkit.data.tables import read_columns
from sslkit.labelling import FORMATS, exported
from sslkit.labelling.entries import DISAGREE, OTHER, PREDICTED, SEVERAL, SHAPES, SKIPPED, TWICE, Settled
from tests.labelling.images import BOXED, TRUTH
from tests.labelling.images import SEVERAL as TWO

FIXTURES = Path(__file__).parent / "fixtures"
PLAIN = {name: label or "" for name, label in TRUTH.items()} | {TWO: "", BOXED: ""}
BARE = {name.removesuffix(".png"): label for name, label in PLAIN.items()}
OF_TWO = PLAIN | {"b/1.png": ""}  # in Label Studio three annotators disagree
LOCAL = {f"photos/{name}": label for name, label in OF_TWO.items()}


def settled(place: str, form: str = "") -> Settled:
    export = exported(FIXTURES / place, form)
    assert export is not None
    assert not form or export.form == form
    return export.settled()


def rows(found: Settled) -> dict[str, str]:
    assert len({*found.paths}) == len(found.paths)
    return dict(zip(found.paths, found.labels, strict=True))


def test_label_studio_json_has_every_task() -> None:
    found = settled("label_studio/local/export.json", "label-studio")
    tasks = json.loads((FIXTURES / "label_studio/local/export.json").read_text("utf-8"))
    assert found.entries == len(found.paths) == len(tasks) == 8
    assert rows(found) == LOCAL
    reasons = {reason: [path.removeprefix("photos/") for path in paths] for reason, paths in found.reasons.items()}
    assert reasons == {
        DISAGREE: ["b/1.png"],
        PREDICTED: ["4.png"],
        SKIPPED: ["4.png", "5.png"],
        SEVERAL: [TWO],
        SHAPES: [BOXED],
    }


def test_a_majority_of_annotators_decides_where_it_is_asked_for() -> None:
    export = exported(FIXTURES / "label_studio/local/export.json")
    assert export is not None
    assert rows(export.settled(majority=True)) == LOCAL | {"photos/b/1.png": "dog"}


@pytest.mark.parametrize("name", ["export.csv", "export.tsv", "export-min.json"])
def test_label_studio_tables_lack_what_all_skipped(name: str) -> None:
    found = settled(f"label_studio/local/{name}", "label-studio-table")
    truth = {path: label for path, label in LOCAL.items() if path != "photos/4.png"}
    truth["photos/a/1.png"] = ""  # which of two is the ground truth is not in these files
    assert rows(found) == truth
    assert found.reasons[SHAPES] == [f"photos/{BOXED}"]
    assert found.reasons[SEVERAL] == [f"photos/{TWO}"]
    assert found.reasons[DISAGREE] == ["photos/b/1.png", "photos/a/1.png"]


def test_uploads_lose_their_prefix_and_equal_names_keep_it() -> None:
    found = settled("label_studio/upload/export.json")
    tasks = json.loads((FIXTURES / "label_studio/upload/export.json").read_text("utf-8"))
    kept = [f"upload/{tasks[0]['project']}/{tasks[i]['file_upload']}" for i in (0, 1)]  # a/1.png and b/1.png
    assert rows(found) == {
        **{kept[0]: "cat", kept[1]: ""},
        **{"two_words_2.png": "cat", "drei-äx.png": "dog", "4.png": "", "5.png": "emu", TWO: "", BOXED: ""},
    }


@pytest.mark.parametrize(
    ("place", "form", "labels"),
    [
        ("datumaro/cvat", "cvat", PLAIN),
        ("datumaro/datumaro", "datumaro", PLAIN),
        ("datumaro/coco_labels", "coco", PLAIN),
        ("datumaro/imagenet_txt", "imagenet-txt", PLAIN),
        ("fiftyone/names", "fiftyone", BARE),
        ("fiftyone/numbers", "fiftyone", BARE),
        ("fiftyone/confidence", "fiftyone", BARE),
    ],
)
def test_every_image_is_a_row(place: str, form: str, labels: dict[str, str]) -> None:
    found = settled(place, form)
    assert rows(found) == labels
    if form != "fiftyone":
        assert found.reasons[SEVERAL] == [TWO]
        parts = dict(zip(found.paths, found.splits, strict=True))
        assert parts == dict.fromkeys(labels, "train") | {"b/drei-ä+x.png": "test"}
        assert found.parted
    if form in ("cvat", "datumaro"):
        assert found.reasons[SHAPES] == [BOXED]


def test_folders_are_classes_but_those_for_none() -> None:
    found = rows(settled("fiftyone/tree", "folders"))
    assert sorted(found.values()) == sorted(PLAIN.values())
    assert found["_unlabeled/4.png"] == ""
    assert found["dog/1.png"] == "dog"
    cut = rows(settled("datumaro/imagenet", "folders"))
    assert cut["cat/a/1.png"] == "cat"
    assert cut["no_label/4.png"] == ""
    assert cut["cat/6.png"] == cut["dog/6.png"] == ""  # one image, of two classes
    parted = settled("datumaro/imagenet_with_subset_dirs", "folders")
    assert rows(parted)["train/dog/b/1.png"] == "dog"
    assert dict(zip(parted.paths, parted.splits, strict=True))["test/dog/b/drei-ä+x.png"] == "test"
    assert parted.reasons == {SEVERAL: ["train/cat/6.png", "train/dog/6.png"]}


def test_cvat_of_its_documentation() -> None:
    found = settled("cvat/annotations.xml", "cvat")
    assert rows(found) == {"filename000.jpg": "good_frame"}
    assert found.reasons == {SHAPES: ["filename000.jpg"]}


def cvat(tags: str) -> str:
    images = "".join(f'<image id="{i}" name="{i}.png">{tag}</image>' for i, tag in enumerate(tags.split("|")))
    return f"<annotations><version>1.1</version>{images}</annotations>"


def test_predictions_in_cvat_are_labels_when_accepted(tmp_path: Path) -> None:
    sure = '<attribute name="confidence">0.9</attribute>'
    file = tmp_path / "annotations.xml"
    tags = f'<tag label="a" source="auto"/>|<tag label="b" source="file">{sure}</tag>|<tag label="c" source="file"/>'
    file.write_text(cvat(f'{tags}|<tag label="d" source="manual">{sure}</tag>|<tag label="a" source="semi-auto"/>'))
    found = settled(str(file))
    assert found.labels == ["", "", "c", "d", "a"]
    assert found.reasons == {PREDICTED: ["0.png", "1.png"]}
    from sslkit.labelling import Asked

    export = exported(file, asked=Asked(accepted=True))
    assert export is not None
    assert export.settled().labels == ["a", "b", "c", "d", "a"]


def test_an_image_that_stands_twice_is_one_row(tmp_path: Path) -> None:
    file = tmp_path / "annotations.xml"
    same = '<image id="0" name="1.png"><tag label="a"/></image>'
    file.write_text(f"<annotations>{same}{same}</annotations>")
    found = settled(str(file))
    assert (found.paths, found.labels, found.entries) == (["1.png"], ["a"], 2)
    assert found.reasons == {TWICE: ["1.png"]}


def test_a_file_of_a_tool_is_a_table_to_every_reader() -> None:
    table = read_columns(FIXTURES / "datumaro/cvat", {"path": ("path",), "label": ("label",), "split": ("split",)})
    assert dict(zip(table["path"], table["label"], strict=True)) == PLAIN
    assert table["split"].count("test") == 1
    assert table.remarks[0] == "CVAT for images, 8 images, 5 with a class"


def test_texts_beside_choices_are_named(tmp_path: Path) -> None:
    tasks = json.loads((FIXTURES / "label_studio/local/export.json").read_text("utf-8"))
    more = {"from_name": "note", "to_name": "image", "type": "textarea", "value": {"text": ["blurred"]}}
    tasks[3]["annotations"][0]["result"].append(more)
    file = tmp_path / "export.json"
    file.write_text(json.dumps(tasks))
    assert settled(str(file)).reasons[OTHER] == ["photos/5.png"]


def test_every_format_has_a_fixture() -> None:
    places = [
        *("label_studio/local/export.json", "label_studio/local/export.csv", "datumaro/cvat", "datumaro/datumaro"),
        *("datumaro/coco_labels", "fiftyone/names", "datumaro/imagenet_txt", "datumaro/imagenet"),
    ]
    found = [exported(FIXTURES / place) for place in places]
    assert [one.form for one in found if one] == [*FORMATS]
