"""`sslkit data`: what it says of a folder with planted faults, and that it writes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from sslkit.look import data as data_report
from tests.cli.call import assert_refused, sslkit
from tests.own_images.photos import PHOTOGRAPHS, photos, pieces, save

ARCH, BLOOM = PHOTOGRAPHS


@pytest.fixture
def planted(here: Path) -> dict[str, list[set[str]]]:
    """24 + 8 + 16 pieces, with damage, copies and near copies across the parts; says which."""
    root = here / "photos"
    photos(root)
    (root / "Training" / ARCH / "c00.jpg").write_bytes((root / "Training" / ARCH / "c00.jpg").read_bytes()[:900])
    (root / "unlabelled/f16.jpg").write_text("<html>")
    (root / "Training/notes.txt").write_text("no image")
    for extra in ("a.psd", "b.PSD"):
        (root / "unlabelled" / extra).write_text("no image that is known")
    equal = [("Test/fleur/f12.jpg", "unlabelled/x.jpg"), (f"Test/{ARCH}/c13.jpg", f"Training/{BLOOM}/y.jpg")]
    for source, copy in equal:
        shutil.copy(root / source, root / copy)
    near = [(f"Training/{ARCH}/c03.jpg", "unlabelled/n0.jpg"), ("Test/fleur/f14.jpg", "unlabelled/n1.png")]
    for source, copy in near:
        image = Image.open(root / source)
        save(
            image.resize((image.width * 4 // 3, image.height * 4 // 3)),
            root / copy,
            **({"quality": 60} if "jpg" in copy else {}),
        )
    save(
        ImageEnhance.Brightness(Image.open(root / f"Training/{BLOOM}/f05.jpg")).enhance(1.15),
        root / f"Test/{BLOOM}/n2.jpg",
    )
    near.append((f"Training/{BLOOM}/f05.jpg", f"Test/{BLOOM}/n2.jpg"))
    return {"equal": [{*pair} for pair in equal], "near": [{*pair} for pair in near]}


def report(*arguments: str) -> Any:
    call = sslkit("data", *arguments, "--json")
    assert call.code == 0, call.err
    return call.json


def names(groups: list[dict[str, Any]]) -> list[set[str]]:
    return [{image["name"] for image in group["images"]} for group in groups]


def test_planted_duplicates_are_found_and_no_others(planted: dict[str, list[set[str]]]) -> None:
    found = report("photos", "--labels", "4/class")
    for kind, groups in planted.items():
        assert sorted(map(sorted, names(found[kind]))) == sorted(map(sorted, groups)), kind
    across = {frozenset(image["part"] for image in group["images"]): group["across_test"] for group in found["near"]}
    assert across == {
        frozenset({"training", "unlabelled"}): False,
        frozenset({"unlabelled", "test"}): True,
        frozenset({"training", "test"}): True,
    }
    (wrong,) = [group for group in found["equal"] if len(group["labels"]) > 1]
    assert wrong["labels"] == [BLOOM, ARCH]


def test_counts_sizes_kinds_bad_files_and_suffixes(planted: Any, here: Path) -> None:
    found = report("photos", "--labels", "4/class", "--val", "0.25")
    assert [row["name"] for row in found["classes"]] == [BLOOM, ARCH]
    assert [row["training"] for row in found["classes"]] == [13, 11]
    assert [(row["labeled"], row["val"], row["test"]) for row in found["classes"]] == [(3, 1, 5), (3, 1, 4)]
    assert found["parts"] == {"labeled": 6, "pool": 13 + 11 + 18 - 8, "val": 2, "test": 9}
    files = [file for file in (here / "photos").rglob("*.*g") if file.stat().st_size > 900]
    sizes = np.array([Image.open(file).size for file in files])
    assert found["short_side"][::2] == [sizes.min(1).min(), sizes.min(1).max()]
    assert found["long_side"][::2] == [sizes.max(1).min(), sizes.max(1).max()]
    assert (found["formats"], found["modes"]) == ({"JPEG": 50, "PNG": 1}, {"RGB": 51})
    assert len(found["bad"]) == 2
    assert f"Training/{ARCH}/c00.jpg cannot be decoded" in found["bad"][0]
    assert "unlabelled/f16.jpg is not an image that Pillow knows" in found["bad"][1]
    assert any("no images: 2 .psd, 1 .txt" in remark for remark in found["remarks"])
    assert "2 of 53 images cannot be read; --on-bad-image skip goes on without them" in found["stop"]
    assert not report("photos", "--labels", "4/class", "--on-bad-image", "skip")["stop"]


def test_mean_and_deviation_are_those_of_the_training_part(here: Path) -> None:
    draw = np.random.default_rng(0)
    for part, count, top in (("train", 6, 256), ("test", 3, 40)):
        for i in range(count):
            pixels = draw.integers(0, top, (9, 9, 3), dtype=np.uint8)
            save(Image.fromarray(pixels), here / f"d/{part}/{'ab'[i % 2]}/{i}.png")
    seen = np.stack([np.asarray(Image.open(file)) for file in (here / "d/train").rglob("*.png")]) / 255
    found = report("d", "--labels", "1/class")
    assert found["mean"] == pytest.approx(seen.mean((0, 1, 2)))
    assert found["std"] == pytest.approx(seen.std((0, 1, 2)))


def test_tables_for_people_and_nothing_is_written(planted: Any, here: Path) -> None:
    before = sorted(here.rglob("*"))
    call = sslkit("data", "photos", "--labels", "4/class")
    assert call.code == 0, call.err
    said = " ".join(call.out.split())
    for words in (
        "training images from Training/; test images from Test/; images without a label from unlabelled/",
        "8 labelled, 0 for validation, 34 unlabelled, 9 test",
        "temple d'été",
        "50 JPEG, 1 PNG",
        "files that cannot be read: 2",
        "exact duplicates (same bytes): 2 groups, 2 across training and test",
        "near duplicates (perceptual hash): 3 groups, 2 across training and test",
        "labels differ: fleur, temple d'été",
        "`sslkit run` would stop: 2 of 53 images cannot be read; --on-bad-image skip goes on without them",
    ):
        assert words in said
    assert sorted(here.rglob("*")) == before


def test_names_are_no_markup(here: Path) -> None:
    photos(here / "d", 3, 2, 0)
    (here / "d/Training/fleur").rename(here / "d/Training/[red]<b>")
    (here / "d/Test/fleur").rename(here / "d/Test/[red]<b>")
    (here / "d/Training/[red]<b>/[bold].jpg").write_text("torn")
    call = sslkit("data", "d", "--labels", "1/class")
    assert call.code == 0, call.err
    assert "[red]<b>" in call.out
    assert "[bold].jpg" in call.out


def test_classes_of_very_different_sizes_are_remarked(here: Path) -> None:
    for name, count in (("a", 20), ("b", 2)):
        for i, image in enumerate(pieces("china.jpg", count, seed=len(name))):
            save(image, here / f"d/train/{name}/{i}.png")
    save(pieces("flower.jpg", 1)[0], here / "d/test/a/t.png")
    call = sslkit("data", "d", "--labels", "1/class")
    assert "largest class to smallest" in call.out
    assert "10.0 to 1" in call.out
    assert "1 of 2 classes have no test image" in " ".join(call.out.split())


def test_what_would_stop_a_run_is_said_and_does_not_stop_the_look(here: Path) -> None:
    photos(here / "d", 6, 2, 0)
    assert "wants 10 images of class" in report("d")["stop"]


@pytest.mark.parametrize("kind", ["folder", "csv", "parquet", "name"])
def test_a_path_or_a_name(kind: str, here: Path) -> None:
    photos(here / "d", 3, 2, 0)
    if kind == "csv":
        files = sorted((here / "d").rglob("*.jpg"))
        rows = [f"{file},{file.parent.name},{file.parent.parent.name}" for file in files]
        Path("t.csv").write_text("path,label,split\n" + "\n".join(rows), "utf-8")
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        Path("p").mkdir()
        for part, source in (("train", "Training"), ("test", "Test")):
            some = sorted((here / "d" / source).rglob("*.jpg"))
            table = pa.table({"image": [f.read_bytes() for f in some], "label": [f.parent.name for f in some]})
            pq.write_table(table, f"p/{part}.parquet")
    argument = {"folder": "d", "csv": "t.csv", "parquet": "p", "name": "digits"}[kind]
    found = report(argument, "--labels", "1/class")
    assert found["data"] == {"folder": "folder:d", "csv": "csv:t.csv", "parquet": "parquet:p", "name": "digits"}[kind]
    assert found["parts"]["test"] == (797 if kind == "name" else 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone/d"], "no folder or file 'gone/d'"),
        (["gone"], "unknown dataset 'gone'"),
        (["d", "--set", "data.tset=1"], "did you mean 'data.test'"),
        (["d", "--labels", "file:gone.csv"], "cannot read gone.csv"),
        (["empty"], "holds no image to train on"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], words: str, here: Path) -> None:
    photos(here / "d", 3, 2, 0)
    Path("empty").mkdir()
    assert_refused(sslkit("data", *arguments), words)


def test_frames_of_a_camera_are_one_group_with_counts(here: Path) -> None:
    draw, scene = np.random.default_rng(0), np.asarray(pieces("china.jpg", 1)[0].convert("RGB")).astype(int)
    for i in range(30):
        part = "test" if i % 3 == 2 else "train"
        frame = Image.fromarray(np.clip(scene + draw.integers(-9, 10, scene.shape), 0, 255).astype(np.uint8))
        save(frame, here / f"d/{part}/{'ab'[i % 2]}/{i:02}.png")
    (group,) = report("d", "--labels", "1/class")["near"]
    assert len(group["images"]) == 30
    said = " ".join(sslkit("data", "d", "--labels", "1/class").out.split())
    assert "~ d/" not in said
    assert "and 26 more (in all 20 training, 10 test); labels differ: a, b" in said


def test_json_is_all_of_it(planted: Any) -> None:
    assert json.loads(json.dumps(report("photos"))).keys() >= {"classes", "equal", "near", "bad", "mean", "std", "stop"}
    assert data_report.named_data("digits") == "digits"
