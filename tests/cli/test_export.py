"""`sslkit export`: the averaged network as timm reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from sslkit.augment.render import normalise
from sslkit.prepare import prepare
from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.cli.conftest import Finished
from tests.datasets.make import held


def test_timm_gives_the_stored_predictions(finished: Finished) -> None:
    assert sslkit("export", finished.folder, "--out", "model").code == 0
    about = json.loads(Path("model/config.json").read_text())
    assert about["label_names"] == list("0123456789")
    network = timm.create_model(f"local-dir:{Path('model').absolute()}", pretrained=True).eval()
    prepared = prepare({})
    pixels = torch.from_numpy(held(prepared.images)[prepared.split.test])
    cfg = about["pretrained_cfg"]
    with torch.no_grad():
        found = network(normalise(pixels, torch.tensor(cfg["mean"]), torch.tensor(cfg["std"])))
    key = next(row["key"] for row in finished.call.json["stages"] if row["stage"] == "semi")
    stored = load_file(finished.runs / "stages" / key / "predictions.safetensors")["averaged"]
    torch.testing.assert_close(found, stored, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone", "--out", "new"], "not a finished run"),
        (["RUN", "--out", "full"], "not overwritten"),
        (["RUN"], "--out"),
    ],
)
def test_mistakes(arguments: list[str], words: str, finished: Finished) -> None:
    Path("full").mkdir()
    Path("full/file").touch()
    named = [str(finished.folder) if word == "RUN" else word for word in arguments]
    assert_refused(sslkit("export", *named), words)
    assert not Path("new").exists()


OFFICIAL = {"cls_token", "pos_embed", "mask_token", "decoder_pos_embed"}
LAYERS = ("patch_embed.proj", "norm", "decoder_embed", "decoder_norm", "decoder_pred")
OFFICIAL |= {f"{layer}.{p}" for layer in LAYERS for p in ("weight", "bias")}
PARTS = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")


@pytest.mark.parametrize("pool", ["mean", "token"])
def test_a_checkpoint_of_pre_training_has_the_official_names(pool: str, untimed: None) -> None:
    sets = ("pretrain.steps=2", "pretrain.batch=8", "pretrainer.decoder_dim=32", "pretrainer.decoder_depth=1")
    words = [word for key in (*sets, f"backbone.pool={pool}") for word in ("--set", key)]
    made = run("--stages", "pretrain", *words, "--json")
    folder = folder_of(made, Path("runs"))
    for name in ("mae.pth", "mae.safetensors"):
        assert sslkit("export", folder, "--format", "mae", "--out", name).code == 0
    tensors = torch.load("mae.pth", weights_only=True)["model"]
    assert all(torch.equal(tensor, load_file("mae.safetensors")[name]) for name, tensor in tensors.items())
    blocks = {name.split(".")[1] for name in tensors if name.startswith("blocks.")}
    expected = OFFICIAL | {f"decoder_blocks.0.{n}.{p}" for n in PARTS for p in ("weight", "bias")}
    expected |= {f"blocks.{i}.{n}.{p}" for i in blocks for n in PARTS for p in ("weight", "bias")}
    assert set(tensors) == expected
    again = run("--stages", "finetune", *words[-2:], "--weights", "mae.pth", "--json")
    straight = run("--stages", "finetune", *words[-2:], "--weights", folder, "--json")
    scores = [made.json["stages"][0]["networks"] for made in (again, straight)]
    assert scores[0] == scores[1]


def test_mistakes_with_a_checkpoint_of_pre_training(finished: Finished) -> None:
    Path("there.pth").touch()
    for out, words in (("there.pth", "not overwritten"), ("a.bin", "ends in .pth"), ("a.pth", "no stage pretrain")):
        assert_refused(sslkit("export", finished.folder, "--format", "mae", "--out", out), words)
    assert_refused(sslkit("export", "gone", "--format", "mae", "--out", "a.pth"), "not a finished run")
    assert not Path("a.pth").exists()
