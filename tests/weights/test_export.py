"""Weights of ours that timm reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

from sslkit.backbones._timm import ConvNeXt
from sslkit.errors import UserError
from sslkit.network import Classifier, Shape
from sslkit.weights import export, load_weights

from .make import CLASSES, backbone, state, vit

NAMES = ["=cat", "dog \u00e9", "[red]", "a/b", "", "x" * 300, "7"]
MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


class Small(ConvNeXt):
    name = "test_convnext"


CASES = {
    "vit, mean": (lambda: vit(size=16), 16),
    "vit, token": (lambda: vit(size=24, pool="token", pos_embed="sincos", drop_path=0.1), 24),
    "vit_micro": (lambda: backbone("vit_micro", 8), 8),
    "vit_tiny as published": (lambda: backbone("vit_tiny", 224, pool="token"), 224),
    "resnet18": (lambda: backbone("resnet18", 72), 72),
    "convnext": (lambda: Small(Shape(96, CLASSES)), 96),
    "timm:": (lambda: backbone("timm", 160, model="test_vit"), 160),
}


def spread(network: Classifier) -> Classifier:
    """Weights and statistics that are not those of the start."""
    torch.manual_seed(5)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.rand_like(tensor), alpha=0.1)
    return network.eval()


def written(network: Classifier, folder: Path, size: int) -> dict[str, Any]:
    export(network, folder, NAMES, MEAN, STD, size)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    return config


@pytest.mark.parametrize("case", CASES)
def test_timm_gives_the_same_logits(case: str, tmp_path: Path) -> None:
    make, size = CASES[case]
    network = spread(make())
    config = written(network, tmp_path / "out", size)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    from_folder = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    by_name = timm.create_model(
        config["architecture"],
        num_classes=config["num_classes"],
        checkpoint_path=tmp_path / "out" / "model.safetensors",
        **config["model_args"],
    ).eval()
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = network(x).logits
        assert from_folder(x).equal(expected)
        assert by_name(x).equal(expected)
    data = timm.data.resolve_model_data_config(from_folder)
    assert tuple(data["mean"]) == MEAN
    assert tuple(data["std"]) == STD
    assert tuple(data["input_size"]) == (3, size, size)
    assert (data["interpolation"], data["crop_pct"]) == ("bicubic", 1.0)
    assert from_folder.pretrained_cfg["label_names"] == NAMES
    assert config["num_features"] == network.feature_dim


def test_timm_evaluates_with_our_crop() -> None:
    config = backbone("timm", 32, model="test_vit", patch=8).hub_config(NAMES, MEAN, STD, 32, 0.875)
    assert config["pretrained_cfg"]["crop_pct"] == 0.875


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "convnext_tiny"])
def test_as_published_timm_needs_no_arguments(name: str) -> None:
    with torch.device("meta"):
        network = backbone(name, 224)
    config = network.hub_config(NAMES, MEAN, STD, 224)
    assert config["model_args"] == {}
    assert config["architecture"] == name


@pytest.mark.parametrize(
    ("name", "architecture"),
    [(f"vit_{name}", f"vit_{name}_patch{patch}_224") for name, patch in
     (("tiny", 16), ("small", 16), ("base", 16), ("large", 16), ("huge", 14))],
)  # fmt: skip
def test_published_vits_with_token_pooling_need_timms_name_alone(name: str, architecture: str) -> None:
    with torch.device("meta"):
        network = backbone(name, 224, pool="token")
        config = network.hub_config(NAMES, MEAN, STD, 224)
        theirs = timm.create_model(architecture, num_classes=CLASSES)
    assert config["architecture"] == architecture
    ours = {n: t.shape for n, t in network.model.state_dict().items()}
    assert ours == {n: t.shape for n, t in theirs.state_dict().items()}
    assert theirs.blocks[0].attn.num_heads == network.model.blocks[0].attn.num_heads


def test_timms_own_models_at_another_size(tmp_path: Path) -> None:
    network = spread(backbone("timm", 32, model="test_vit", patch=8))
    export(network, tmp_path / "out", NAMES, MEAN, STD, 32)
    theirs = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(theirs(images), network.eval()(images).logits)


def test_ours_reads_what_it_wrote(tmp_path: Path) -> None:
    network = vit()
    written(spread(network), tmp_path / "out", 16)
    other = vit(seed=1)
    loaded = load_weights(other, tmp_path / "out" / "model.safetensors")
    assert not loaded.missing + loaded.unexpected
    assert all(tensor.equal(other.state_dict()[name]) for name, tensor in state(network).items())
    assert set(load_file(tmp_path / "out" / "model.safetensors")) == set(network.model.state_dict())


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("wrn_10_1", {}, "timm has no WRN10x1"),
        ("resnet18", {}, r"conv1.weight is \(64, 3, 3, 3\), timm's \(64, 3, 7, 7\); up to 64 px"),
    ],
)
def test_networks_that_timm_cannot_make_are_refused(name: str, options: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says) as caught:
        export(backbone(name, 32, **options), tmp_path / "out", NAMES, MEAN, STD, 32)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_small_convnext_and_names_of_other_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stem.0.weight .* up to 64 px"):
        export(Small(Shape(32, CLASSES)), tmp_path / "out", NAMES, MEAN, STD, 32)
    with pytest.raises(UserError, match=r"head.weight is \(7, 16\), timm's \(6, 16\)$"):
        export(vit(), tmp_path / "out", NAMES[1:], MEAN, STD, 16)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    written(vit(), folder, 16)  # an empty one is filled
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    for there in (folder, folder / "config.json"):
        with pytest.raises(UserError, match="not overwritten"):
            written(vit(seed=1), there, 16)
    with pytest.raises(UserError, match="cannot write"):
        written(vit(), folder / "config.json" / "below", 16)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_full_disk_leaves_nothing(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def full(real: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > after:
                raise OSError(28, "No space left on device")
            return real(*arguments)

        return call

    monkeypatch.setattr(os, "replace", full(os.replace))
    monkeypatch.setattr(Path, "rename", full(Path.rename))
    with pytest.raises(UserError, match="No space left"):
        export(vit(), tmp_path / "out", NAMES, MEAN, STD, 16)
    assert not list(tmp_path.iterdir())
