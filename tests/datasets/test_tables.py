"""Tables of labels, drawn in all forms, in the four places that read them."""

from __future__ import annotations

import gzip
import io
import os
import random
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sslkit.datasets.folder import Folder
from sslkit.errors import UserError
from sslkit.finished.inputs import inputs
from sslkit.prepare import Prepared, prepare
from tests.datasets.make import pictures, read
from tests.datasets.tables import FORMS, PATHS, Drawn, drawn
from tests.kernel.make import TINY

STYLES = list(PATHS)


def known(classes: list[str], names: list[str], label: list[int]) -> dict[str, str]:
    return {name: classes[c] if c >= 0 else "" for name, c in zip(names, label, strict=True)}


def of_csv(made: Drawn) -> dict[str, str]:
    """The table lies beside the images, in their folder."""
    file = made.file.rename(made.root / made.file.name)
    classes, train, test = read("csv", file=str(file))
    assert not len(test.images)
    names = [os.path.relpath(made.root / name, made.root) for name in train.images]  # some are absolute
    return known(classes, names, train.label.tolist())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_csv_reads_what_was_written(seed: int, form: str, tmp_path: Path) -> None:
    draw = random.Random(f"{seed} {form}")
    style = STYLES[(seed * 2 + FORMS.index(form)) % len(STYLES)]
    made = drawn(draw, tmp_path / "d", form, style, ["part_1", "été/x", ""], all_named=draw.random() < 0.5)
    truth = {name: label for name, label in made.truth.items() if label or form != "by class"}
    assert of_csv(made) == truth, made.how


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_a_file_of_labels_for_folders_that_are_no_classes(seed: int, form: str, tmp_path: Path) -> None:
    draw = random.Random(f"{seed} {form} file")
    style = STYLES[(seed * 2 + 1 + FORMS.index(form)) % len(STYLES)]
    folders = ["part_1", "part_2"] if seed % 2 else [""]
    made = drawn(draw, tmp_path / "d", form, style, folders, all_named=draw.random() < 0.5)
    found = prepare(TINY | {"data": f"folder:{made.root}", "data.labels": f"file:{made.file}"})
    assert known(found.images.classes, list(found.images.names), found.images.label.tolist()) == made.truth, made.how
    assert any("rows matched" in remark for remark in found.remarks)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "utf-16"])
@pytest.mark.parametrize("place", ["heap", "test", "train"])
def test_a_table_in_a_folder_of_images(place: str, form: str, tmp_path: Path) -> None:
    draw = random.Random(f"{place} {form}")
    style = STYLES[FORMS.index(form) % len(STYLES)]
    root = tmp_path / "d"
    made = drawn(draw, root / place if place != "heap" else root, form, style, [""], all_named=True)
    made.file.rename(made.root / f"labels{made.file.suffix}")
    if place == "test":
        pictures(root, [f"train/{label}/{i}.png" for label in {*made.truth.values()} for i in range(2)])
    dataset = Folder(dir=str(root))
    classes, train, test = dataset.read()
    raw = test if place == "test" else train
    names = [os.path.relpath(root / name, made.root) for name in raw.images]
    assert known(classes, names, raw.label.tolist()) == made.truth, made.how
    assert any("14 of 14 rows matched" in remark for remark in dataset.remarks)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "utf-16"])
def test_a_list_to_predict(form: str, tmp_path: Path) -> None:
    draw = random.Random(f"predict {form}")
    style = STYLES[FORMS.index(form) % len(STYLES)]
    made = drawn(draw, tmp_path / "d", form, style, ["a", ""], all_named=True)
    file = made.file.rename(made.root / made.file.name)
    classes = sorted({*made.truth.values()})
    found = inputs([str(file)], classes)
    told = {os.path.relpath(one.source, made.root): classes[one.label] for one in found}
    assert told == made.truth, made.how
    assert all(os.path.isfile(one.source) for one in found)


HEADS = [("", "x"), ("id", "path", "label"), ("id", "photo", "site", "label"), ("Bild", "Art"), ("url of image", "y")]


@pytest.mark.parametrize("header", HEADS)
@pytest.mark.parametrize("numbers", [False, True])
def test_the_first_line_is_a_row_where_it_is_one(header: tuple[str, ...], numbers: bool, tmp_path: Path) -> None:
    """Whatever the columns are called, or are not: n rows with a header are those of n rows without."""
    draw = random.Random(str(header))
    pictures(tmp_path, [f"{i}.png" for i in range(8)])
    label = [draw.choice("012" if numbers else "abc") for _ in range(8)]
    cells = {"id": [str(i) for i in range(8)], "site": [draw.choice("xyz") for _ in range(8)]}
    *before, last = header
    image = before[-1] if before[-1] != "site" else "photo"
    columns = [cells.get(name, [f"{i}.png" for i in range(8)] if name == image else []) for name in before]
    rows = [list(row) for row in zip(*columns, label, strict=True)]
    (tmp_path / "t.csv").write_text("".join(",".join(row) + "\n" for row in [[*before, last], *rows]))
    classes, train, _ = read("csv", file=str(tmp_path / "t.csv"))
    assert [classes[c] for c in train.label] == label
    if len(header) < 4:
        (tmp_path / "t.csv").write_text("".join(",".join(row) + "\n" for row in rows))
        classes, train, _ = read("csv", file=str(tmp_path / "t.csv"))
        assert [classes[c] for c in train.label] == label


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index"])
def test_a_column_that_numbers_the_rows_is_no_label(name: str, tmp_path: Path) -> None:
    """Though no label repeats, and whatever the numbers are."""
    rows = [f"{7 * i % 5},{i}.png,c{i}\n" for i in range(5)]
    (tmp_path / "t.csv").write_text(f"{name},file,species\n{''.join(rows)}")
    classes, train, _ = read("csv", file=str(tmp_path / "t.csv"))
    assert [classes[c] for c in train.label] == [f"c{i}" for i in range(5)]


def test_a_column_of_parts_is_known_by_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a.png,x,train\nb.png,y,train\nc.png,x,test\nd.png,y,test\n")
    _, train, test = read("csv", file=str(tmp_path / "t.csv"))
    assert (train.images, test.images) == (["a.png", "b.png"], ["c.png", "d.png"])
    (tmp_path / "t.csv").write_text("path,label,fold\na.png,x,Training\nb.png,y,Training\nc.png,x,Validation\n")
    assert read("csv", file=str(tmp_path / "t.csv"))[2].images == ["c.png"]


@pytest.mark.parametrize("seed", range(5))
def test_one_column_a_class_has_exactly_one_1_a_row(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    classes = ["cat", "dog", "été"][: draw.choice([2, 3])]
    rows = [[int(c == i % len(classes)) for c in range(len(classes))] for i in range(9)]
    wrong = sorted(draw.sample(range(9), 2))
    for i in wrong:
        rows[i] = draw.choice([[0] * len(classes), [1] * len(classes)])
    lines = [f"{i}.png," + ",".join(map(str, row)) for i, row in enumerate(rows)]
    file = tmp_path / "t.csv"
    file.write_text("\n".join(["image," + ",".join(classes), *lines]))
    with pytest.raises(UserError, match=rf"not exactly one 1 .* lines {wrong[0] + 2}, {wrong[1] + 2} \(2 of 9 rows\)"):
        read("csv", file=str(file))
    lines = [
        f"{i}.png,{'xyzx'[i % 4]}," + ",".join(str(int(c == i % len(classes))) for c in range(len(classes)))
        for i in range(9)
    ]
    file.write_text("\n".join(["image,site," + ",".join(classes), *lines]))
    with pytest.raises(UserError, match=rf"site \(3 values\), or {','.join(classes)}, one a class\?"):
        read("csv", file=str(file))
    found, train, _ = read("csv", file=str(file), label=", ".join(classes))
    assert [found[c] for c in train.label] == [classes[i % len(classes)] for i in range(9)]


def test_columns_that_may_be_the_paths_or_the_labels_are_a_question(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("photo,mask,kind\n" + "".join(f"{i}.png,m{i}.png,{'ab'[i % 2]}\n" for i in range(6)))
    with pytest.raises(UserError, match=r"which of the columns has the images: photo, mask\? --set data.image=photo"):
        read("csv", file=str(file))
    assert read("csv", file=str(file), image="mask", label="kind")[1].images[0] == "m0.png"
    file.write_text("".join(f"{i}.png,{'xy'[i // 3]},{'ab'[i % 2]}\n" for i in range(6)))
    with pytest.raises(UserError, match=r"which of the columns has the labels: 2 \(2 values\), 3 \(2 values\)"):
        read("csv", file=str(file))
    classes, train, _ = read("csv", file=str(file), label="3")
    assert [classes[c] for c in train.label] == [*"ababab"]
    for text, words in (
        ("path,label,label\na.png,x,y\nb.png,y,x\n", "has 2 columns called 'label'"),
        ("path,score\na.png,0.5\nb.png,0.25\n", "column 'score' holds 0.5, a measure and no class"),
        (
            '[{"path": "a.png", "label": ["x", "y"]}, {"path": "b.png", "label": "x"}]',
            "holds lists or objects in record 1",
        ),
    ):
        file.write_text(text)
        with pytest.raises(UserError) as caught:
            read("csv", file=str(file))
        assert words in str(caught.value)


def zipped(inside: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as book:
        book.writestr(inside, "")
    return stream.getvalue()


OTHERS = {
    "an Excel workbook (.xlsx)": zipped("xl/workbook.xml"),
    "an OpenDocument table (.ods)": zipped("content.xml"),
    "a Numbers table": zipped("Index/Document.iwa"),
    "a zip archive": zipped("labels.csv"),
    "an Excel workbook (.xls)": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a parquet file": b"PAR1\0\0",
    "compressed by gzip": gzip.compress(b"path,label\n"),
    "an SQLite database": b"SQLite format 3\0",
    "a Python pickle": b"\x80\x04\x95",
    "XML or HTML": b"\n<!DOCTYPE html>",
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", ["t.csv", "t.xlsx", "t"])
def test_a_file_that_is_no_text_is_named_with_what_to_do(kind: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(OTHERS[kind])
    with pytest.raises(UserError) as caught:
        read("csv", file=str(tmp_path / name))
    assert f"is {kind}, which is not read as a table; " in str(caught.value)
    assert "\n" not in str(caught.value)


def asked(root: Path, **keys: Any) -> Prepared:
    return prepare(TINY | {"data": f"folder:{root}", "data.labels": "all"} | {f"data.{k}": v for k, v in keys.items()})


@pytest.mark.parametrize("seed", range(4))
def test_labels_from_the_names_by_a_pattern(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    classes = draw.sample(["cat", "black-dog", "été", "7"], 3)
    folders = draw.choice([[""], ["part_1/", "part_2/"]])
    form = draw.choice([unicodedata.normalize(f, "{1}{0}_{2}.png") for f in ("NFC", "NFD")])
    names = [form.format(classes[i % 3], draw.choice(folders), i) for i in range(15)]
    bare = [f"{folders[0]}IMG{i}.png" for i in range(3)]
    pictures(tmp_path, [unicodedata.normalize(draw.choice(["NFC", "NFD"]), name) for name in names + bare])
    found = asked(tmp_path, classes=r"([^/_]+)_\d+\.png$" if seed else "|".join(classes))
    told = known(found.images.classes, list(found.images.names), found.images.label.tolist())
    wanted = {name: classes[i % 3] for i, name in enumerate(names)} | dict.fromkeys(bare, "")
    assert {unicodedata.normalize("NFC", k): v for k, v in told.items()} == wanted
    assert any(
        "data.classes: 3 classes in the names of 18 images" in r and "3 names without it" in r for r in found.remarks
    )


def test_a_pattern_that_cannot_be(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{part}/{name}{i}.png" for part in ("train", "test") for name in "ab" for i in range(4)])
    pictures(tmp_path, ["test/c1.png"])
    for pattern, words in (
        ("(", "is no regular expression"),
        (r"x(\d)", "is found in no name"),
        (r"/([abc])\d", "no training image has: c"),
    ):
        with pytest.raises(UserError, match=f"data.classes.*{words}"):
            asked(tmp_path, classes=pattern)
    with pytest.raises(UserError, match=r"data.classes: needs --labels file:"):
        asked(tmp_path, classes="file")


@pytest.mark.parametrize("place", ["", "train"])
def test_folders_and_a_table_that_could_both_be_the_classes_are_a_question(place: str, tmp_path: Path) -> None:
    root = tmp_path / place
    names = [f"part_{1 + i // 4}/{i}.png" for i in range(8)]
    pictures(root, names)
    table = root / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{name},{'cat' if i % 2 else 'dog'}\n" for i, name in enumerate(names)))
    with pytest.raises(UserError, match=r"part_1.*part_2.*cat.*dog.*data.classes=folders, or --labels file:"):
        asked(tmp_path)
    assert asked(tmp_path, classes="folders").images.classes == ["part_1", "part_2"]
    assert asked(tmp_path, labels=f"file:{table}").images.classes == ["cat", "dog"]
    for header, value in (("path,photographer", "cat"), ("path,label", "part_1")):  # about images, or corrections
        table.write_text(f"{header}\n" + "".join(f"{n},{value if i % 2 else 'dog'}\n" for i, n in enumerate(names)))
        made = asked(tmp_path)
        assert made.images.classes == ["part_1", "part_2"]
        assert any("labels.csv is not used" in remark for remark in made.remarks)


def test_numbers_that_contradict_the_folders_are_a_question(tmp_path: Path) -> None:
    names = [f"part_{1 + i // 4}/{i}.png" for i in range(8)]
    pictures(tmp_path / "d", names)
    table = tmp_path / "l.csv"
    table.write_text("".join(f"{name},{i % 2}\n" for i, name in enumerate(names)))
    with pytest.raises(UserError, match=r"4 of 8 are not the place of their image's folder.*data.classes=file"):
        asked(tmp_path / "d", labels=f"file:{table}")
    made = asked(tmp_path / "d", labels=f"file:{table}", classes="file")
    assert made.images.classes == ["0", "1"]
    table.write_text("".join(f"{name},{i // 4}\n" for i, name in enumerate(names)))
    assert asked(tmp_path / "d", labels=f"file:{table}").images.classes == ["part_1", "part_2"]


@pytest.mark.parametrize("folder", ["images", "scans"])
def test_the_one_folder_beside_a_table_is_no_class(folder: str, tmp_path: Path) -> None:
    pictures(tmp_path, [f"{folder}/{i}.png" for i in range(8)])
    (tmp_path / "labels.csv").write_text("id,breed\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(8)))
    made = asked(tmp_path, classes="file", labels=f"file:{tmp_path / 'labels.csv'}")
    assert made.images.classes == ["a", "b"]
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(8)))
    made = asked(tmp_path)
    assert made.images.classes == ["a", "b"]
    told = "scans alone is no class" if folder == "scans" else "labels are class names, 8 labelled"
    assert any(told in remark for remark in made.remarks)
