"""`--weights timm`: the weights that timm has of the same network, from the hub's cache. No test opens a connection."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.models import get_pretrained_cfg

from sslkit.weights.start import content_hash
from tests.cli.call import assert_refused, run
from tests.weights.hub import empty, keep

NAME = "vit_tiny_patch16_224"
FINETUNE = ("--stages", "finetune", "--backbone", "vit_tiny", "--set", "finetune.steps=1")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, which is empty; who asks the hub itself gets no answer."""

    return empty(tmp_path, monkeypatch)


def cached(hub: Path, model: torch.nn.Module, tag: str) -> Path:
    """The model's weights, laid down as the hub's client does."""
    return keep(hub, f"{NAME}.{tag}", model)


@pytest.mark.usefixtures("untimed")
def test_timms_weights_are_those_of_the_file(hub: Path) -> None:
    torch.manual_seed(5)
    file = cached(hub, timm.create_model(NAME, num_classes=1000), get_pretrained_cfg(NAME).tag)
    sources = (("timm",), (f"timm:{NAME}",), (file, "--set", "data.stats=0.5,0.5,0.5/0.5,0.5,0.5"))
    asked = [run(*FINETUNE, "--weights", *source, "--json") for source in sources]
    keys = [made.json["stages"][0]["key"] for made in asked]
    assert keys[0] == keys[1] == keys[2], "the content is in the key, not where it came from"
    assert "file's head is of 1000 classes, the network's of 10" in asked[0].err
    assert "licence apache-2.0; as they were trained: data.stats=0.5,0.5,0.5/0.5,0.5,0.5" in asked[0].err
    (trained,) = Path("runs/stages").glob("*/weights.safetensors")
    after, theirs = load_file(trained), load_file(file)
    name = "blocks.3.mlp.fc1.weight"
    moved = (after[f"student.model.{name}"] - theirs[name]).abs().max()
    assert float(moved) < 2e-3, "one step of AdamW from timm's weights"


@pytest.mark.usefixtures("untimed")
def test_a_tag_names_other_weights(hub: Path) -> None:
    torch.manual_seed(5)
    for tag in (get_pretrained_cfg(NAME).tag, "augreg_in21k"):
        cached(hub, timm.create_model(NAME), tag)
    one, other = (run(*FINETUNE, "--weights", w, "--json") for w in ("timm", f"timm:{NAME}.augreg_in21k"))
    assert one.json["stages"][0]["key"] != other.json["stages"][0]["key"]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backbone", "vit_tiny", "--weights", "timm"], ["model.safetensors of timm/vit_tiny_patch16_224.", "FILE"]),
        (["--weights", "timm:vit_base_patch16_224.mae"], ["timm/vit_base_patch16_224.mae is not on this machine"]),
        (["--weights", "timm"], ["timm has no 'vit_micro'", "timm:vit_tiny_patch16_224"]),
        (["--backbone", "wrn_10_1", "--weights", "timm"], ["timm has no 'wrn_10_1'"]),
        (["--backbone", "timm:vit_tiny_patch16_224", "--weights", "timm"], ["timm/vit_tiny_patch16_224."]),
        (["--weights", "timm:vit_tiny_patch16_224.nothing"], ["Invalid pretrained tag"]),
        (["--weights", "timm:nothing"], ["no weights of that name"]),
    ],
    ids=str,
)
def test_what_is_not_there_is_one_line(arguments: list[str], words: list[str]) -> None:
    assert_refused(run(*arguments), *words)
    assert not list(Path().glob("runs/*-*"))


def test_a_file_is_read_once_unless_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    digest = hashlib.file_digest

    def counted(*_: Any) -> Any:
        reads.append("")
        return digest(*_)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"one")
    os.utime(file, ns=(1, 1))
    first = content_hash(file)
    assert content_hash(file) == first
    assert len(reads) == 1
    file.write_bytes(b"two")
    os.utime(file, ns=(2, 2))
    assert content_hash(file) != first
    assert len(reads) == 2
