"""`--stages` and `--weights`: what is trained, what starts from what, and what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cli.call import assert_refused, folder_of, run, sslkit

PRETRAIN = (
    *("--set", "pretrain.steps=3", "--set", "pretrain.batch=8"),
    *("--set", "pretrainer.decoder_dim=32", "--set", "pretrainer.decoder_depth=1"),
)


def weights(folder: Path, runs: Path, stage: str) -> dict[str, torch.Tensor]:
    key = next(row["key"] for row in sslkit("show", folder, "--json").json["stages"] if row["stage"] == stage)
    return load_file(runs / "stages" / key / "weights.safetensors")


@pytest.mark.usefixtures("untimed")
def test_the_whole_pipeline(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    made = run("--stages", "pretrain,finetune,semi", *PRETRAIN, "--runs", runs, "--json")
    assert made.code == 0, made.err
    assert [row["stage"] for row in made.json["stages"]] == ["pretrain", "finetune", "semi"]
    first = made.json["stages"][0]
    assert first["networks"] == {}
    assert 0.5 < first["losses"]["reconstruction"] < 3
    folder = folder_of(made, runs)
    table = sslkit("show", folder)
    assert "loss" in table.out
    before, after = weights(folder, runs, "pretrain"), weights(folder, runs, "finetune")
    assert any(name.startswith("algorithm.decoder_blocks") for name in before)
    assert not any("decoder" in name for name in after)
    for name in ("student.model.blocks.0.attn.qkv.weight", "student.model.pos_embed"):
        moved = (after[name] - before[name]).abs().max()
        assert 0 < float(moved) < 0.02, "three steps from where pre-training ended"
    assert sslkit("predict", folder, "--test").code == 0


@pytest.mark.usefixtures("untimed")
def test_a_part_of_the_pipeline(tmp_path: Path) -> None:
    made = run("--stages", "finetune", "--json")
    assert [row["stage"] for row in made.json["stages"]] == ["finetune"]
    assert made.json["headline"]["top1"] == made.json["stages"][0]["networks"]["averaged"]["top1"]
    assert made.json["gains"] == {}
    assert sslkit("predict", folder_of(made, Path("runs")), "--test").code == 0
    semi = run("--stages", "semi", "--control", "--json")
    assert [row["stage"] for row in semi.json["stages"]] == ["finetune+", "semi"]
    assert set(semi.json["gains"]) == {"semi - finetune+"}
    alone = run("--stages", "pretrain", *PRETRAIN, "--json")
    assert alone.json["headline"]["top1"] is None
    folder = folder_of(alone, Path("runs"))
    assert_refused(sslkit("predict", folder, "--test", "--out", "other.csv"), "no classifier")
    assert sslkit("show", folder).code == 0


@pytest.mark.usefixtures("untimed")
def test_a_convolutional_network_skips_pre_training() -> None:
    made = run("--stages", "pretrain,finetune", "--backbone", "wrn_10_1", "--json")
    assert made.code == 0, made.err
    assert [row["stage"] for row in made.json["stages"]] == ["finetune"]
    assert "pretrain is skipped: wrn_10_1 has no patches" in made.err


@pytest.mark.usefixtures("untimed")
def test_weights_of_a_run_and_of_a_file(tmp_path: Path) -> None:
    runs = Path("runs")
    first = run("--stages", "pretrain", *PRETRAIN, "--json")
    folder = folder_of(first, runs)
    once = run("--stages", "pretrain,finetune", *PRETRAIN, "--json")
    again = run("--stages", "finetune", "--weights", folder, "--json")
    assert again.code == 0, again.err
    assert "loaded" in again.err
    a, b = (weights(folder_of(made, runs), runs, "finetune") for made in (once, again))
    assert all(torch.equal(a[name], b[name]) for name in a)
    plain = weights(folder_of(run("--stages", "finetune", "--json"), runs), runs, "finetune")
    assert not torch.equal(a["student.model.pos_embed"], plain["student.model.pos_embed"])
    bare = {n.removeprefix("student.model."): t for n, t in weights(folder, runs, "pretrain").items() if "student" in n}
    save_file(
        {name: tensor for name, tensor in bare.items() if not name.startswith(("head", "fc_norm"))}, "mae.safetensors"
    )
    other = run("--stages", "finetune", "--weights", "mae.safetensors", "--json")
    c = weights(folder_of(other, runs), runs, "finetune")
    assert all(torch.equal(a[name], c[name]) for name in a)


@pytest.mark.usefixtures("untimed")
def test_the_content_of_a_weight_file_is_in_the_key() -> None:
    keys = []
    for seed in (0, 1):
        run("--stages", "finetune", "--seed", seed, "--name", f"r{seed}")
        (folder,) = Path("runs").glob(f"r{seed}-*")
        file = next(Path("runs/stages").glob(sslkit("show", folder, "--json").json["stages"][0]["key"]))
        Path("w.safetensors").write_bytes((file / "weights.safetensors").read_bytes())
        made = run("--stages", "finetune", "--seed", 7, "--weights", "w.safetensors", "--name", f"from{seed}", "--json")
        keys.append(made.json["stages"][0]["key"])
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stages", ""], "stages must be some of pretrain,probe,finetune,semi"),
        (["--stages", "semi,finetune"], "in this order"),
        (["--stages", "finetune,finetune"], "in this order"),
        (["--stages", "tune"], "stages must be"),
        (["--set", "pretrainer.mask=0.5"], "add --stages pretrain"),
        (["--pretrainer", "mae"], "add --stages pretrain"),
        (["--stages", "pretrain,semi", "--pretrainer", "maee"], "did you mean 'mae'"),
        (["--stages", "pretrain,semi", "--set", "pretrainer.mask=1"], "pretrainer.mask"),
        (["--stages", "pretrain,semi", "--set", "pretrainer.decoder_dim=33"], "multiple of 32"),
        (["--weights", "gone.pth"], "no such file"),
        (["--weights", "bad.pth"], "bad.pth"),
        (["--set", "finetune.layer_decay=0"], "layer_decay must be from 0.01 to 1"),
        (["--set", "semi.epochs=1", "--set", "semi.images=5"], "both set the length of the stage semi"),
        (["--backbone", "wrn_10_1", "--set", "semi.drop_path=0.1"], "no drop_path"),
        (["--set", "finetune.smoothing=1"], "finetune.smoothing"),
        (["--recipe", "nothing"], "unknown recipe"),
    ],
    ids=str,
)
def test_what_cannot_be(arguments: list[str], words: str) -> None:
    Path("bad.pth").write_bytes(b"no weights")
    assert_refused(run(*arguments), words)
    assert not list(Path().glob("runs/*-*"))
