"""What `predictions` names: files and runs, matched by name, whatever their order; and which are refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sslkit
from sslkit.data.image import Array
from sslkit.errors import UserError
from sslkit.finished import load
from sslkit.machine import Machine
from sslkit.prepare import Prepared, prepare
from sslkit.record import run_digest
from sslkit.record.stages import stages
from sslkit.store import read_json
from sslkit.training.given import given
from tests.algorithms.make import needed
from tests.kernel.make import TINY

CPU = Machine("cpu", "fp32", 1)
FEW = TINY | {"backbone": "wrn_10_1", "stages": "finetune", "finetune.lr": 0.05, "finetune.batch": 16}
CLASSES = [str(c) for c in range(10)]


def asked(predictions: object, algo: str = "vpet", keys: Mapping[str, Any] = {}) -> Prepared:
    return prepare(TINY | {"algo": algo, "predictions": str(predictions), **keys})


def key(prepared: Prepared, stage: str = "semi") -> str:
    return next(one.spec.key for one in stages(prepared, CPU) if one.label == stage)


def told(prepared: Prepared) -> Array:
    """What is predicted for the images of the pool, by their number."""
    spec = stages(prepared, CPU)[-1].spec
    found: Array = given(prepared.images, prepared.split.pool, spec).numpy()
    return found


@pytest.fixture(scope="module")
def votes(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Array]:
    p = torch.randn(1000, 10, generator=torch.Generator().manual_seed(0)).softmax(1).numpy()
    return [f"train image {i}" for i in range(1000)], p


def npz(file: Path, names: list[str], p: Array, classes: list[str] = CLASSES, **other: Any) -> Path:
    np.savez(file, **{"name": names, "classes": classes, "p": p, **other})
    return file


def test_rows_are_found_by_name_in_any_order(votes: tuple[list[str], Array], tmp_path: Path) -> None:
    names, p = votes
    order = np.random.default_rng(0).permutation(1000)
    first = asked(npz(tmp_path / "a.npz", names, p))
    turned = [CLASSES[c] for c in (3, 1, 0, 2, 4, 5, 6, 7, 8, 9)]
    columns = [CLASSES.index(name) for name in turned]
    mixed = npz(tmp_path / "b.npz", [names[i] for i in order], p[order][:, columns], turned)
    second = asked(mixed)
    np.testing.assert_allclose(told(first)[0], p[first.split.pool], rtol=1e-5)
    assert np.array_equal(told(first), told(second))
    assert key(first) == key(second)
    assert any("which labels their network has seen is not known" in said for said in first.remarks)


def test_tables_as_sslkit_predict_writes_them(votes: tuple[list[str], Array], tmp_path: Path) -> None:
    names, p = votes
    full = "file,class,confidence," + ",".join(f"p({c})" for c in CLASSES)
    rows = [f"{name},{row.argmax()},{row.max()}," + ",".join(map(str, row)) for name, row in zip(names, p, strict=True)]
    (tmp_path / "full.csv").write_text("\n".join([full, *rows]))
    (tmp_path / "hard.csv").write_text("\n".join(["file,class", *(",".join(row.split(",")[:2]) for row in rows)]))
    pool = asked(tmp_path / "full.csv")
    np.testing.assert_allclose(told(pool)[0], p[pool.split.pool], rtol=1e-5)
    hard = told(asked(tmp_path / "hard.csv"))[0]
    assert np.array_equal(hard, np.eye(10)[p[pool.split.pool].argmax(1)])


def test_files_by_path_and_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw, files = np.random.default_rng(0), []
    for name in [f"{c}/{i}.png" for c in "ab" for i in range(6)] + [f"unlabeled/{i}.png" for i in range(5)]:
        files.append(tmp_path / "d" / name)
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(files[-1])
    p = draw.dirichlet([1, 1], len(files)).astype(np.float32)
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    forms: dict[str, dict[str, Any]] = {
        "absolute": {"name": [str(file) for file in files]},
        "relative": {"name": [str(file.relative_to(tmp_path)) for file in files]},
        "content": {"sha256": hashes},
    }
    keys = set()
    for form, columns in forms.items():
        np.savez(tmp_path / f"{form}.npz", classes=["a", "b"], p=p, **columns)
        made = asked(tmp_path / f"{form}.npz", keys={"data": f"folder:{tmp_path / 'd'}", "data.size": 8})
        expected = [p[[str(f).endswith(made.images.names[i]) for f in files].index(True)] for i in made.split.pool]
        np.testing.assert_allclose(told(made)[0], expected, rtol=1e-5)
        keys.add(key(made))
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda names, p: {"names": names[1:], "p": p[1:]}, "lack 1 of .* images of the pool: train image 0"),
        (lambda names, p: {"names": ["other", *names[1:]], "p": p}, "lack 1 of .* images of the pool: train image 0"),
        (
            lambda names, p: {"names": names, "p": p, "classes": [*CLASSES[:9], "ten"]},
            "its classes are not those of the",
        ),
        (lambda names, p: {"names": names, "p": p[:, :9]}, r"p is \(1000, 9\); right is \(1000, 10\)"),
        (lambda names, p: {"names": names, "p": 2 * p}, "rows that are no probabilities, of train image 0"),
        (lambda names, p: {"names": [names[1], *names[1:]], "p": p}, "image train image 1 is there twice"),
        (lambda names, p: {"names": [f"x{n}" for n in names], "p": p}, "of no image of this data"),
    ],
)
def test_files_that_cannot_be(change: Any, said: str, votes: tuple[list[str], Array], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as raised:
        asked(npz(tmp_path / "a.npz", **change(*votes)))
    assert "a.npz" in str(raised.value)


def test_labelled_images_without_a_prediction_are_said(votes: tuple[list[str], Array], tmp_path: Path) -> None:
    names, p = votes
    pool = prepare(TINY).split.pool
    made = asked(npz(tmp_path / "a.npz", [names[i] for i in pool], p[pool]), "dho")
    assert any("100 labelled images have none there" in said for said in made.remarks)
    with pytest.raises(UserError, match="lack 100 of 1000 images of the pool"):
        asked(tmp_path / "a.npz", "vpet")  # labelled images are of its pool


def test_what_is_given_is_in_the_key_of_the_stage_and_in_the_name_of_the_run(votes: Any, tmp_path: Path) -> None:
    names, p = votes
    made = asked(npz(tmp_path / "a.npz", names, p))
    before = key(made), key(made, "finetune"), run_digest(made)
    other = asked(npz(tmp_path / "a.npz", names, p[::-1]))
    assert key(other) != before[0]
    assert key(other, "finetune") == before[1]
    assert run_digest(other) != before[2]


def test_where_none_is_named_or_nobody_learns_it() -> None:
    with pytest.raises(UserError, match="'vpet' learns predictions of other networks: name finished runs"):
        prepare(TINY | {"algo": "vpet"})
    named = needed("vpet")["predictions"]
    plain, given_ = prepare(TINY | {"algo": "fixmatch"}), asked(named, "fixmatch")
    assert "predictions are of no use to fixmatch" in given_.remarks
    assert key(plain) == key(given_)
    with pytest.raises(UserError, match="predictions=nowhere: there is no such run or file"):
        asked("nowhere")
    with pytest.raises(UserError, match="is named twice, and would count twice"):
        asked(f"{named}, {named}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    runs = tmp_path_factory.mktemp("store")
    asks: dict[str, dict[str, Any]] = {
        "same": {},
        "seed": {"seed": 1},
        "larger": {"data.size": 12},
        "tune": {"seed": 100},
    }
    asks["tune"] |= {"data.tune": True}
    return {name: sslkit.run(FEW | ask, runs=runs).folder for name, ask in asks.items()}


def test_runs_vote_with_their_own_size_whatever_their_order(trained: dict[str, Path]) -> None:
    same, larger = trained["same"], trained["larger"]
    made, turned = asked(f"{same},{larger}", "dho"), asked(f"{larger},{same}", "dho")
    assert key(made) == key(turned)
    p = told(made)
    assert p.shape == (2, len(made.split.pool), 10)
    assert np.array_equal(p, told(turned))
    assert not np.allclose(p[0], p[1], atol=1e-3)
    for run, size in ((same, 8), (larger, 12)):
        stage = read_json(run / "run.json")["stages"]["finetune"]
        mine = p[[one.key for one in made.images.given].index(stage)]
        again = prepare(FEW | {"data.size": size})
        direct = load(run).probabilities(again.images.subset(made.split.pool)).numpy()
        np.testing.assert_allclose(mine, direct, atol=1e-5)


def test_a_run_that_knows_more_labels_or_those_of_the_test_is_refused(trained: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"has learned \d+ labels that are hidden from this run, as of train image"):
        asked(trained["seed"])
    with pytest.raises(UserError, match="hidden from this run"):
        asked(trained["same"], keys={"data.labels": "2/class"})
    asked(trained["same"], keys={"data.labels": "20/class"})  # labels of one seed are nested
    with pytest.raises(UserError, match=r"has learned labels of \d+ images of the test: train image"):
        asked(trained["same"], keys={"seed": 101, "data.tune": True})


def test_runs_that_are_none(trained: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a finished run"):
        asked(tmp_path)
    np.savez(tmp_path / "b.npz", images=np.zeros((8, 8, 8), np.uint8), label=np.arange(8) % 2, classes=["a", "b"])
    with pytest.raises(UserError, match="its classes are not those of the data"):
        asked(trained["same"], keys={"data": f"arrays:{tmp_path / 'b.npz'}", "data.labels": "all"})
    images = np.random.default_rng(0).integers(0, 256, (1797, 8, 8), np.uint8)
    np.savez(tmp_path / "c.npz", images=images, label=np.arange(1797) % 10, classes=CLASSES)
    with pytest.raises(UserError, match=r"is a run on other data: .* is not the same image with the same label"):
        asked(trained["same"], keys={"data": f"arrays:{tmp_path / 'c.npz'}", "data.test": "none"})


def test_a_run_that_learns_them_goes_on_with_the_targets_it_had(trained: dict[str, Path], tmp_path: Path) -> None:
    few = TINY | {"algo": "vpet", "predictions": str(trained["same"]), "stages": "semi"}
    made = sslkit.run(few, runs=tmp_path)
    row = made.results["stages"][-1]
    assert row["losses"].keys() == {"weak", "strong"}
    assert row["pseudo_labels"]["coverage"] == 1
