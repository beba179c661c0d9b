"""`sslkit map`: every image of a run is a row, with what `predict` says of it; what cannot be is one line."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sslkit.finished import load, prepared_data
from sslkit.finished.scatter import find_points
from sslkit.store import store_of
from tests.cli.call import Call, assert_refused, folder_of, run, sslkit
from tests.cli.conftest import Finished
from tests.cli.test_audit import rows

PARTS = {"labeled": 100, "test": 797, "pool": 900}  # of digits


@pytest.fixture(autouse=True)
def without_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)


@pytest.fixture(scope="module")
def mapped(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Call, Path]:
    """Both files of the shared run, made at once."""
    top = tmp_path_factory.mktemp("map")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "umap", None)
        call = sslkit("map", finished.folder, "--out", top / "map.html", "--out", top / "map.parquet", "--json")
    assert call.code == 0, call.err
    return call, top


@pytest.fixture
def table(mapped: tuple[Call, Path]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(mapped[1] / "map.parquet").to_pylist()
    return found


def test_every_image_is_a_row(table: list[dict[str, Any]], finished: Finished) -> None:
    assert {name: sum(row["part"] == name for row in table) for name in PARTS} == PARTS
    assert len({row["path"] for row in table}) == len(table) == sum(PARTS.values())
    prepared = prepared_data(finished.folder, load(finished.folder).spec)
    images = prepared.images
    place = {name: i for i, name in enumerate(images.names)}
    split = prepared.split.parts()
    for row in table:
        i = place[row["path"]]
        assert i in split[row["part"]]
        hidden = row["part"] == "pool"
        assert row["label"] == (None if hidden else images.classes[images.label[i]])
        assert row["image"]["path"] == row["path"]
        pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))).transpose(2, 0, 1)
        assert np.array_equal(pixels, images.subset(np.array([i]))[0:1][0]), "small images are kept as they are"


def test_predictions_are_those_of_predict(table: list[dict[str, Any]], finished: Finished) -> None:
    assert sslkit("predict", finished.folder, "--test", "--all", "--out", "test.csv").code == 0
    mine = {row["path"]: row for row in table if row["part"] == "test"}
    classes = [str(c) for c in range(10)]
    others = rows(Path("test.csv"))
    assert len(others) == len(mine) == PARTS["test"]
    for other in others:
        row = mine[other["file"]]
        assert row["probabilities"] == pytest.approx([float(other[name]) for name in classes], abs=1e-4)
        assert (row["prediction"], row["label"]) == (other["class"], other["label"])
        assert row["confidence"] == pytest.approx(float(other["confidence"]), abs=1e-4)
        first, second = sorted(row["probabilities"])[:-3:-1]
        assert row["margin"] == pytest.approx(first - second, abs=1e-5)


def test_vectors_are_the_features_and_the_plane_is_of_them(table: list[dict[str, Any]], finished: Finished) -> None:
    predictor = load(finished.folder)
    prepared = prepared_data(finished.folder, predictor.spec)
    place = {name: i for i, name in enumerate(prepared.images.names)}
    some = np.array([place[row["path"]] for row in table[::50]])
    x = prepared.images.subset(some)
    from sslkit.training.evaluation import encode

    features = encode(predictor.network, x, predictor.spec).features.numpy()
    assert np.allclose([row["vector"] for row in table[::50]], features, atol=1e-5)
    vectors = np.array([row["vector"] for row in table], np.float64)
    xy = np.array([[row["x"], row["y"]] for row in table])
    u, s, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    for axis in range(2):
        expected = u[:, axis] * s[axis]
        assert min(np.abs(xy[:, axis] - sign * expected).max() for sign in (1, -1)) < 1e-4 * s[0]


def test_what_was_decided_is_said_and_stands_in_the_file(mapped: tuple[Call, Path], finished: Finished) -> None:
    call, top = mapped
    said = call.json["notes"]
    assert said[0] == "all 1,797 images"
    assert said[1].startswith("PCA of 32 features, ")
    assert said[1].endswith("(umap-learn is not installed: pip install 'sslkit[map]')")
    assert (call.json["images"], call.json["of"], call.json["projection"]) == (1797, 1797, "pca")
    metadata = pq.read_schema(top / "map.parquet").metadata
    about = json.loads(metadata[b"sslkit"])
    assert about == {"run": finished.folder.name, "classes": [str(c) for c in range(10)], "projection": said[1]}
    assert said[1].split(" (")[0] in (top / "map.html").read_text("utf-8")
    plain = sslkit("map", finished.folder, "--out", "again.parquet")
    assert plain.out == f"again.parquet: {said[0]}; {said[1]}\n"
    assert Path("again.parquet").read_bytes() == (top / "map.parquet").read_bytes(), "the same each time"


def test_of_too_many_images_labelled_ones_come_first(finished: Finished) -> None:
    call = sslkit("map", finished.folder, "--out", "few.parquet", "--most", 300)
    found = pq.read_table("few.parquet").to_pylist()
    counts = {name: sum(row["part"] == name for row in found) for name in PARTS}
    assert counts["labeled"] == 100
    assert sum(counts.values()) == 300
    assert 60 < counts["test"] < 130, "the others as many as there are of them, by chance"
    said = f"300 of 1,797 images, drawn with labelled ones first (100 labeled, {counts['test']} test, "
    assert said + f"{counts['pool']} pool); --most N takes more" in call.out
    points, total = find_points(finished.folder, 300)
    assert (total, list(points.names)) == (1797, [row["path"] for row in found])
    fewer = find_points(finished.folder, 40)[0]
    assert {fewer.parts[k] for k in fewer.part} == {"labeled"}
    assert {*fewer.names} < {*points.names}


def test_the_validation_part_and_images_without_a_label(untimed: None) -> None:
    made = run("--val", "0.2", "--set", "data.pool=all", "--open-set", "2", "--json")
    assert made.code == 0, made.err
    points, total = find_points(folder_of(made, Path("runs")))
    counts = dict(zip(points.parts, np.bincount(points.part), strict=True))
    assert [*counts] == ["labeled", "val", "test", "unknown", "pool"]
    assert total == sum(counts.values()) == len({*points.names})
    assert counts["val"] == 16
    part = np.array(points.parts)[points.part]
    assert (points.label[np.isin(part, ["labeled", "val", "test"])] >= 0).all()
    assert (points.label[np.isin(part, ["unknown", "pool"])] == -1).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["RUN", "--out", "map.png"], "--out map.png: a map is a page, whose name ends in .html, or a table"),
        (["RUN", "--out", "there.html"], "there.html exists and is not overwritten"),
        (["RUN", "--out", "no/map.html"], "there is no folder no"),
        (["RUN", "--out", "a.html", "--out", "./a.html"], "named twice"),
        (["RUN", "--out", "a.html", "--out", "a.csv"], "--out a.csv"),
        (["RUN", "--out", "a.html", "--most", "1"], "--most must be 2 or more, got 1"),
        (["gone", "--out", "a.html"], "gone is not a finished run"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(arguments: list[str], words: str, finished: Finished) -> None:
    Path("there.html").touch()
    named = [str(finished.folder) if word == "RUN" else word for word in arguments]
    assert_refused(sslkit("map", *named), words)
    assert [path.name for path in Path().iterdir()] == ["there.html"]


def test_a_run_without_weights_or_without_its_images(photos: list[str], untimed: None) -> None:
    made = run(
        "--data", "folder:d", "--labels", "all", "--pool", "all", "--size", "8", "--set", "data.test=0.34", "--json"
    )
    assert made.code == 0, made.err
    folder = folder_of(made, Path("runs"))
    assert sslkit("map", folder, "--out", "a.html", "--out", "a.parquet").code == 0
    shutil.move("d", "moved")
    shutil.rmtree("runs/data", ignore_errors=True)
    assert_refused(sslkit("map", folder, "--out", "b.html"), "the data of", "cannot be read")
    shutil.move("moved", "d")
    for file in (store_of(folder) / "stages").glob("*/weights.safetensors"):
        file.unlink()
    assert_refused(sslkit("map", folder, "--out", "b.html"), "weights")
    assert not Path("b.html").exists()
