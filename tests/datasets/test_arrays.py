"""`arrays:FILE`, one NPZ file of images and labels; and a run without a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sslkit.errors import UserError
from sslkit.prepare import Prepared, prepare
from tests.cli.call import run, sslkit
from tests.kernel.make import TINY

LABEL = np.array([0, 1] * 6 + [-1] * 6)


def written(here: Path, **other: Any) -> str:
    images = np.random.default_rng(0).integers(0, 256, (18, 8, 8, 3), np.uint8)
    arrays = {"images": images, "label": LABEL, "classes": np.array(["cat", "dog"])} | other
    np.savez(here / "a.npz", **{name: array for name, array in arrays.items() if array is not None})
    return f"arrays:{here / 'a.npz'}"


def asked(data: str, **keys: Any) -> Prepared:
    return prepare(TINY | {"data": data} | {f"data.{name}": value for name, value in keys.items()})


def test_it_is_read_as_it_is_written(tmp_path: Path) -> None:
    made = asked(written(tmp_path), test="none")
    assert made.images.classes == ["cat", "dog"]
    assert made.images.label.tolist() == LABEL.tolist()
    with np.load(tmp_path / "a.npz") as file:
        assert np.array_equal(np.asarray(made.images.pixels), file["images"].transpose(0, 3, 1, 2))
    assert (len(made.split.labeled), len(made.split.pool), len(made.split.test)) == (12, 6, 0)
    assert any("no test part (data.test=none): nothing is measured" in said for said in made.remarks)
    assert not any("no test image" in said for said in made.remarks)


def test_a_test_is_set_aside_where_none_is_refused(tmp_path: Path) -> None:
    made = asked(written(tmp_path))
    assert (len(made.split.labeled), len(made.split.pool), len(made.split.test)) == (10, 6, 2)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"classes": None}, "it lacks an array: classes is not a file in the archive"),
        ({"images": np.zeros((18, 8, 8, 4), np.uint8)}, r"images is uint8 \(18, 8, 8, 4\); right is uint8"),
        ({"images": np.zeros((18, 8, 8))}, r"images is float64 \(18, 8, 8\); right is uint8"),
        ({"label": LABEL[:4]}, "right is a whole number for each of the images"),
        ({"label": LABEL + 1}, "one for each number from 0 in label"),
        ({"classes": np.array([0, 1])}, "classes must be texts"),
        ({"classes": np.array(["cat", None], object)}, "cannot be read as numpy.savez writes it: ValueError"),
    ],
)
def test_what_is_wrong_with_a_file(other: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as raised:
        asked(written(tmp_path, **other))
    assert "a.npz: " in str(raised.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("not a zip")
    for name, said in (("a.npz", "cannot be read"), ("b.npz", "no file")):
        with pytest.raises(UserError, match=said):
            asked(f"arrays:{tmp_path / name}")


def test_a_test_of_the_data_set_is_left_out() -> None:
    made = asked("digits", test="none")
    assert (len(made.split.labeled), len(made.split.test)) == (100, 0)
    assert any("the 797 test images that there are stay unused" in said for said in made.remarks)


def test_a_run_without_a_test_is_shown_and_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = written(tmp_path)
    made = run("--data", data, "--set", "data.test=none", "--val", "0.2")
    assert made.code == 0, made.err
    assert "Result:" not in made.out
    assert "--control" not in made.out, "which measures"
    assert "Temperature scaling" in made.out
    folder = next(Path("runs").glob("arrays-*"))
    assert sslkit("show", folder, "--json").json["headline"]["top1"] is None
    assert sslkit("predict", folder, data, "--out", "p.csv").code == 0
    refused = sslkit("predict", folder, "--test", "--out", "t.csv")
    assert (refused.code, "has no test images (data.test=none)" in refused.err) == (2, True)


@pytest.mark.parametrize("command", [("compare", "--seeds", "2"), ("advise", "digits"), ("run", "--tune")])
def test_what_measures_refuses(command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = sslkit(*command, "--set", "data.test=none")
    assert refused.code == 2
    assert "measures nothing" in refused.err
