"""`--config RUN` with other parts, data, weights, stages, lengths: what RUN's file has by default goes with the old.

The oracle is the same request without a file: RUN's own, with what is asked for in its place.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from sslkit.config import Flat
from sslkit.config.resolve import to_toml
from sslkit.errors import UserError
from sslkit.prepare.shown import shown
from sslkit.recipes import layers
from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.datasets.make import pictures

ROOTS: dict[str, list[str]] = {
    "algo": ["fixmatch", "ema_teacher", "supervised", "knn", "mean_teacher", "self_training", "flexmatch"],
    "backbone": ["vit_micro", "vit_tiny", "wrn_10_1", "resnet18"],
    "adapt": ["full", "lora", "bias"],
    "data": ["digits", "csv", "folder"],
    "weights": ["none", "own", "other"],
}
ALWAYS: Flat = {"data.size": 16, "data.labels": "1/class", "device": "cpu"}  # a size is never told from one chosen


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Root -> as it is written on the command line."""
    for i, folder in enumerate(("f/a", "f/b")):
        pictures(tmp_path / folder, [f"{i}{k}.png" for k in range(4)])
    rows = [f"f/{name}/{i}{k}.png,{name},p{k}" for i, name in enumerate("ab") for k in range(4)]
    (tmp_path / "t.csv").write_text("\n".join(["path,species,patient", *rows]) + "\n")
    return {
        "csv": f"csv:{tmp_path / 't.csv'}",
        "folder": f"folder:{tmp_path / 'f'}",
        "own": str(tmp_path / "own.pth"),
        "other": str(tmp_path / "other.pth"),
    }


def file_of(tmp_path: Path, request: Flat) -> Path:
    """A run's folder, as far as it matters here."""
    folder = tmp_path / "RUN"
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text("{}")
    (folder / "config.toml").write_text(to_toml(shown(layers(None, None, request))[0]))
    return folder


def taken(folder: Path, asked: Flat) -> tuple[Flat, str]:
    said: list[str] = []
    return shown(layers(None, folder / "config.toml", asked, say=said.append))[0], " ".join(said)


@pytest.mark.parametrize("seed", range(24))
def test_other_roots_give_what_they_give_without_a_file(seed: int, tmp_path: Path, places: dict[str, str]) -> None:
    draw = random.Random(seed)
    before: dict[str, Any] = {root: draw.choice(names) for root, names in ROOTS.items()}
    if before["data"] == "csv":
        before |= {"data.label": "species", "data.group": "patient"}
    changed = draw.sample([*ROOTS], draw.randint(1, 2))
    after = {root: draw.choice([name for name in ROOTS[root] if name != before[root]]) for root in changed}
    before, after = ({k: places.get(v, v) for k, v in some.items()} for some in (before, after))
    set_ = {"semi.clip": 0.123, "finetune.smoothing": 0.05, "seed": 7}
    folder = file_of(tmp_path, ALWAYS | before | set_)
    found, said = taken(folder, after)
    kept = {k: v for k, v in before.items() if not k.startswith("data.") or "data" not in after}
    assert found == shown(layers(None, None, ALWAYS | kept | set_ | after))[0]
    for root, name in after.items():
        assert f"-> {name}" in said, root
    assert "RUN is not gone on with, this is another run: " in said


@pytest.mark.parametrize("unit", ["epochs", "images"])
def test_the_length_that_is_asked_for_holds(unit: str, tmp_path: Path) -> None:
    """Also where the file has it in another unit, which would win."""
    folder = file_of(tmp_path, ALWAYS | {"data": "digits", f"semi.{unit}": 2, "finetune.epochs": 3})
    found, said = taken(folder, {"semi.steps": 9})
    assert (found["semi.steps"], found[f"semi.{unit}"], found["finetune.epochs"]) == (9, None, 3)
    assert f"left out: semi.{unit}=2" in said
    other = "images" if unit == "epochs" else "epochs"
    found, _ = taken(folder, {f"semi.{other}": 40})
    assert (found[f"semi.{other}"], found[f"semi.{unit}"]) == (40, None)
    recipe = layers("semivit_small_1p", None, {"finetune.steps": 7})
    assert recipe["finetune.steps"] == 7
    assert "finetune.epochs" not in recipe
    with pytest.raises(UserError, match=r"semi\.steps and semi\.epochs both set the length of the stage semi"):
        layers(None, None, {"semi.steps": 9, "semi.epochs": 1})


def test_a_stage_pretrain_goes_with_its_method(tmp_path: Path, places: dict[str, str]) -> None:
    masked = file_of(tmp_path, ALWAYS | {"data": "digits", "pretrain": "mae", "pretrainer.mask": 0.6})
    found, said = taken(masked, {"stages": "finetune,semi"})
    assert "pretrainer.name" not in found
    assert "left out: pretrainer.name=mae, pretrainer.mask=0.6" in said
    found, _ = taken(masked, {"pretrain": f"supervised:{places['folder']}"})
    assert "pretrainer.name" not in found
    labelled = file_of(tmp_path, ALWAYS | {"data": "digits", "pretrain": f"supervised:{places['folder']}"})
    assert taken(labelled, {"stages": "finetune"})[0]["pretrain.data"] == ""
    assert taken(labelled, {"pretrainer": "mae"})[0]["pretrainer.name"] == "mae"


def test_what_says_where_the_old_data_are_goes_with_them(tmp_path: Path, places: dict[str, str]) -> None:
    asked = {"data": places["csv"], "data.label": "species", "data.groups": r"\d(\d)\.png", "data.labels": "1/class"}
    folder = file_of(tmp_path, ALWAYS | asked)
    found, said = taken(folder, {"data": places["folder"]})
    assert (found["data.label"], found["data.groups"]) == ("", r"\d(\d)\.png")
    assert "left out: data.label=species" in said
    found, said = taken(folder, {"data": "digits"})
    assert (found["data.label"], found["data.groups"]) == ("", "")
    same, said = taken(folder, {"data": places["csv"].replace("t.csv", "./t.csv")})
    assert same["data.label"] == "species", "the same kind of data has it, too"
    (tmp_path / "l.csv").write_text("path,label\n00.png,a\n10.png,b\n01.png,a\n11.png,b\n")
    folder = file_of(tmp_path, ALWAYS | {"data": places["folder"], "data.labels": f"file:{tmp_path / 'l.csv'}"})
    assert taken(folder, {"data": "digits"})[0]["data.labels"] == "10/class"


def test_how_images_were_prepared_for_other_weights_goes_with_them(tmp_path: Path, places: dict[str, str]) -> None:
    stats = "0.5,0.5,0.5/0.2,0.2,0.2"
    request = ALWAYS | {"data": places["folder"], "weights": places["own"], "data.interpolation": "bilinear"}
    folder = file_of(tmp_path, request | {"data.stats": stats, "weights_container": "ema"})
    about = {"name": "w", "stats": stats, "interpolation": "bilinear", "size": 8}
    (folder / "data.json").write_text(json.dumps({"weights": about}))
    found, said = taken(folder, {"weights": "none", "backbone": "vit_micro"})
    assert (found["data.stats"], found["data.interpolation"], found["data.size"]) == ("declared", "bicubic", 16)
    assert found["weights_container"] is None
    assert f"data.stats={stats}" in said


def test_keys_that_change_nothing_and_a_folder_in_place_of_its_file(tmp_path: Path) -> None:
    folder = file_of(tmp_path, ALWAYS | {"data": "digits"})
    _, said = taken(folder, {"threads": 2, "grad_checkpoint": True, "data.workers": 3})
    assert said == ""
    said_of: list[str] = []
    assert layers(None, folder, {"pretrain": "mae"}, say=said_of.append)["data.size"] == 16
    assert said_of == ["RUN is not gone on with, this is another run: pretrain not set -> mae"]
    with pytest.raises(UserError, match="is a run's, and names every key, so that nothing of semivit_small_1p is left"):
        layers("semivit_small_1p", folder, {})


def test_a_run_whose_images_have_changed_is_another_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sslkit.terminal.screen.step_seconds", lambda *_: {})
    for i, name in enumerate(("d/a", "d/b")):
        pictures(tmp_path / name, [f"{i}{k}.png" for k in range(4)])
    first = run("--data", "folder:d", "--labels", "1/class", "--stages", "finetune", "--json")
    folder = folder_of(first, tmp_path / "runs")
    again = sslkit("run", "--config", folder, "--json")
    assert "another run" not in again.err
    pictures(tmp_path / "d/a", ["0new.png", "0other.png"])
    changed = sslkit("run", "--config", folder, "--json")
    assert changed.json["run"] != first.json["run"]
    told = f"{folder.name} is not gone on with, this is another run: its images or their labels have changed"
    assert told in " ".join(changed.err.split())
    assert_refused(sslkit("run", "--config", folder, "--recipe", "semivit_small_1p"), "drop one")
