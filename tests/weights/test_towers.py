"""Image towers of DINOv2, DINOv3, CLIP, SigLIP and MAE from the hub's cache, against timm's own loading of the file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from sslkit import registry
from sslkit.network import Shape
from sslkit.prepare import prepare
from sslkit.weights import load_weights
from sslkit.weights.start import first_weights
from tests.cli.call import assert_refused, sslkit
from tests.weights.hub import empty, keep

DINO, REGISTERS = "vit_small_patch14_dinov2.lvd142m", "vit_small_patch14_reg4_dinov2.lvd142m"
TOWERS = [
    (DINO, 224),
    (DINO, 98),
    (REGISTERS, 224),
    (REGISTERS, 126),
    ("vit_small_patch16_dinov3.lvd1689m", 96),
    ("vit_base_patch16_clip_224.openai", 224),
    ("vit_base_patch16_clip_224.laion2b", 96),
    ("vit_base_patch16_siglip_224.webli", 96),
    ("vit_base_patch16_siglip_gap_224.webli", 80),
    ("vit_base_patch16_224.mae", 96),
]


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the hub gives no answer, and towers have one block."""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, depth=1))
    return empty(tmp_path, monkeypatch)


def cached(hub: Path, name: str) -> Path:
    """Random weights of the tower alone, as it is published, laid down as the hub's client does."""
    torch.manual_seed(0)
    model = timm.create_model(name)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.05)
    return keep(hub, name, model)


def photos(side: int = 70) -> str:
    draw = np.random.default_rng(0)
    for c in "ab":
        Path("photos", c).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(draw.integers(0, 256, (side, side, 3), np.uint8)).save(Path("photos", c, f"{i}.png"))
    return "folder:photos"


@pytest.mark.parametrize(("name", "size"), TOWERS)
def test_features_are_those_of_timms_own_loading(name, size, hub):
    """timm resamples positions by its own filter and pools by its own rule."""
    file = cached(hub, name)
    ours = registry.load("backbone", "timm")(Shape(size, 3), model=name).eval()
    loaded = load_weights(ours, file)
    assert not loaded.unexpected
    assert all(missing.startswith("model.head.") for missing in loaded.missing)
    overlay = {"file": str(file), "custom_load": False}
    theirs = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, img_size=size, num_classes=0)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(ours(x).features, theirs.eval()(x), rtol=1e-4, atol=1e-5)


def test_grids_are_told_from_other_rows(hub):
    """2 x 2 patches and a class token with four registers would be 3 x 3 patches by their number."""
    name = "vit_small_patch14_reg4_dinov2"
    ours = registry.load("backbone", "timm")(Shape(28, 3), model=name, patch=14)
    tensors = {n.removeprefix("model."): t for n, t in ours.state_dict().items()}
    other = registry.load("backbone", "timm")(Shape(42, 3), model=name, patch=14)
    save_file(tensors, "w.safetensors")
    assert load_weights(other, "w.safetensors").resampled == ["model.pos_embed"]


@pytest.mark.parametrize("weights", ["timm", f"timm:{DINO}"])
def test_the_tag_in_the_backbones_name_names_the_weights(weights, hub):
    file = cached(hub, DINO)
    made = prepare({"data.name": photos(), "data.labels": "2/class", "backbone": f"timm:{DINO}", "weights": weights})
    found = first_weights(made.config)
    assert found is not None
    assert found.samefile(file)
    assert made.config.data.size == 224, "518 px, which the file is for, is more than anybody asked for"
    assert any("data.size=224 (they are for 518 px)" in remark for remark in made.remarks)
    assert made.config.data.stats == "0.485,0.456,0.406/0.229,0.224,0.225"
    assert made.stored["weights"]["license"] == "apache-2.0"
    assert any(f"timm:{DINO}, licence apache-2.0" in remark for remark in made.remarks)


def test_a_run_shows_and_stores_the_licence(hub):
    name = "vit_small_patch16_dinov3.lvd1689m"
    cached(hub, name)
    steps = ("--stages", "finetune", "--set", "finetune.steps=1", "--set", "finetune.batch=2", "--threads", 1)
    more = ("--backbone", f"timm:{name}", "--weights", "timm", "--size", 64, *steps)
    called = sslkit("run", "--data", photos(), "--labels", "2/class", *more, "--json")
    assert called.code == 0, called.err
    assert "licence of the weights" in called.err
    assert "dinov3-license" in called.err
    assert "of these, resampled" in called.err, "the patch is of 4 px up to 64 px"
    stored = json.loads((Path("runs") / called.json["run"] / "data.json").read_text("utf-8"))
    assert stored["weights"]["license"] == "dinov3-license"


@pytest.mark.parametrize("size", [96, 100])
def test_a_size_that_the_patch_does_not_divide_is_one_line(size, hub):
    cached(hub, DINO)
    data = ("--data", photos(), "--labels", "2/class")
    called = sslkit("run", *data, "--backbone", f"timm:{DINO}", "--weights", "timm", "--size", size)
    low = size // 14 * 14
    assert_refused(called, f"a patch of 14 px does not divide images of {size} px", f"{low} and {low + 14}")


def test_what_is_not_in_the_cache_is_one_line():
    called = sslkit("run", "--backbone", f"timm:{REGISTERS}", "--weights", "timm", "--size", 224)
    assert_refused(called, f"model.safetensors of timm/{REGISTERS} is not on this machine", "--weights FILE")
