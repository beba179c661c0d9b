"""`--pretrain`: masked, or supervised on another labelled data set, whose trunk the next stage starts from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.cli.call import Call, assert_refused, folder_of, run, sslkit
from tests.datasets.make import pictures

STEPS = ("--set", "pretrain.steps=3", "--set", "pretrain.batch=6")
MASKED = ("--set", "pretrainer.decoder_dim=32", "--set", "pretrainer.decoder_depth=1")


@pytest.fixture
def shapes(tmp_path: Path) -> str:
    """A folder of three classes, four images each, of another size than the digits."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 2)):
        for name, level in (("dark", 40), ("grey", 120), ("light", 210)):
            folder = tmp_path / "shapes" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(level - 30, level + 30, (10, 12, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return f"supervised:folder:{tmp_path / 'shapes'}"


def stage(made: Call, label: str) -> Path:
    return Path("runs/stages") / next(row["key"] for row in made.json["stages"] if row["stage"] == label)


def weights(made: Call, label: str) -> dict[str, torch.Tensor]:
    return load_file(stage(made, label) / "weights.safetensors")


@pytest.mark.parametrize("backbone", ["vit_micro", "wrn_10_1"])
def test_the_trunk_is_taken_over_and_the_head_is_not(backbone: str, shapes: str) -> None:
    """The next stage does nothing here, so that what it leaves is what it started from."""
    still = ("--set", "finetune.lr=0", "--set", "finetune.steps=1", "--set", "eval.decay=0")
    made = run("--pretrain", shapes, *STEPS, "--stages", "finetune", "--backbone", backbone, *still, "--json")
    assert made.code == 0, made.err
    assert [row["stage"] for row in made.json["stages"]] == ["pretrain", "finetune"]
    assert "learns the 3 classes" in made.err
    assert "with a new head" in made.err
    before, after = weights(made, "pretrain"), weights(made, "finetune")
    head = [name for name in after if ".head." in name]
    assert {len(before[name]) for name in head} == {3}
    assert {len(after[name]) for name in head} == {10}
    for name in after.keys() - set(head):
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(before[name.replace("averaged.", "student.")], after[name]), name
    fresh = run("--stages", "finetune", "--backbone", backbone, *still, "--json")
    fresh_weights = weights(fresh, "finetune")
    assert all(torch.equal(fresh_weights[name], after[name]) for name in head)


@pytest.mark.usefixtures("untimed")
def test_the_whole_pipeline(shapes: str) -> None:
    made = run("--pretrain", shapes, *STEPS, "--set", "views.pretrain.crop=0.4", "--json")
    assert [row["stage"] for row in made.json["stages"]] == ["pretrain", "finetune", "semi"]
    assert set(made.json["gains"]) == {"semi - finetune"}, "scores on other images are no gain"
    folder = folder_of(made, Path("runs"))
    table = sslkit("show", folder)
    assert "pretrain is measured on the test images of its own data set" in table.out
    spec = json.loads((stage(made, "pretrain") / "spec.json").read_text())
    assert spec["data"]["classes"] == ["dark", "grey", "light"]
    assert spec["data"]["counts"] == [4, 4, 4]
    assert spec["data"]["size"] == 8
    assert spec["views"]["labeled"]["weak"]["crop"] == 0.4, "the view of pre-training"
    assert sslkit("predict", folder, "--test").code == 0
    again = run("--config", folder / "config.toml", "--json")
    assert again.json["run"] == made.json["run"]


@pytest.mark.usefixtures("untimed")
def test_its_images_are_in_the_keys(shapes: str) -> None:
    first = run("--pretrain", shapes, *STEPS, "--json")
    moved = Path("elsewhere")
    Path("shapes").rename(moved)
    same = run("--pretrain", f"supervised:folder:{moved.absolute()}", *STEPS, "--json")
    assert [row["key"] for row in same.json["stages"]] == [row["key"] for row in first.json["stages"]]
    Image.new("RGB", (12, 10)).save(moved / "train" / "dark" / "0.png")
    other = run("--pretrain", f"supervised:folder:{moved.absolute()}", *STEPS, "--json")
    assert not {row["key"] for row in other.json["stages"]} & {row["key"] for row in first.json["stages"]}
    assert other.json["run"] != same.json["run"]


@pytest.mark.usefixtures("untimed")
def test_steps_by_epochs_are_of_its_own_images(shapes: str) -> None:
    made = run("--pretrain", shapes, "--set", "pretrain.epochs=5", "--set", "pretrain.batch=6", "--json")
    assert made.json["stages"][0]["steps"] == 10, "5 epochs of 12 images, 6 a step"


@pytest.mark.usefixtures("untimed")
def test_masked_is_the_other_value() -> None:
    made = run("--pretrain", "mae", *STEPS, *MASKED, "--json")
    plain = run("--stages", "pretrain,finetune,semi", *STEPS, *MASKED, "--json")
    assert made.json["run"] == plain.json["run"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pretrain", "supervised"], "needs a labelled data set"),
        (["--pretrain", "supervised:nothing"], "unknown dataset 'nothing'"),
        (["--pretrain", "supervised:folder:gone"], "gone"),
        (["--pretrain", "supervised:digits"], "is the data set of the run itself"),
        (["--pretrain", "maee"], "did you mean 'mae'"),
        (["--pretrain", "supervised:digits", "--set", "pretrainer.mask=0.5"], "masked pre-training"),
        (["--set", "pretrain.data=digits"], "add --stages pretrain"),
        (["--pretrain", "supervised:digits", "--time", "1m"], "--time"),
    ],
    ids=str,
)
def test_what_cannot_be(arguments: list[str], words: str) -> None:
    assert_refused(run(*arguments), words)
    assert not list(Path().glob("runs/*-*"))


BARE = ["folder:d", "folder:one", "csv:d/paths.csv", "parquet:p"]


@pytest.mark.usefixtures("untimed")
def test_images_without_labels_are_enough_to_pretrain() -> None:
    files = [f"{i:02}.png" for i in range(12)]
    pictures(Path("d"), files)
    pictures(Path("one/cat"), files)
    Path("d/paths.csv").write_text("photo\n" + "".join(f"{file}\n" for file in files))
    Path("p").mkdir()
    pq.write_table(pa.table({"image": [Path("d", file).read_bytes() for file in files]}), "p/train.parquet")
    still = (*STEPS, *MASKED, "--size", "16", "--backbone", "vit_micro", "--stages", "pretrain")
    left = []
    for data in BARE:
        made = run("--data", data, *still, "--json")
        assert made.code == 0, made.err
        assert "nothing is measured" in made.err
        assert "0 labelled, 12 unlabelled" in made.err
        left.append(weights(made, "pretrain"))
    assert all(torch.equal(tensor, other[name]) for other in left[1:] for name, tensor in left[0].items())
    again = run("--data", "folder:d", *still, "--weights", str(folder_of(made, Path("runs"))), "--json")
    assert again.code == 0, again.err
    assert "the decoder is new" in again.err
    tuned = run(
        "--stages",
        "finetune",
        "--backbone",
        "vit_micro",
        "--size",
        "16",
        "--weights",
        str(folder_of(made, Path("runs"))),
        "--json",
    )
    assert tuned.code == 0, tuned.err
    assert_refused(run("--data", "folder:d", "--size", "16", "--stages", "pretrain,finetune"), "no image has a label")
