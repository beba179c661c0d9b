"""`sslkit export --format onnx` and `torch`: a file that other programs execute, by what its JSON says alone."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image, ImageOps

from sslkit.errors import UserError
from sslkit.finished import graph
from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.cli.conftest import Finished

Array = np.ndarray[Any, Any]
FILES = {"onnx": "m.onnx", "torch": "m.pt2"}


@pytest.fixture(scope="module")
def exported(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each format."""
    folder = tmp_path_factory.mktemp("exported")
    for form, file in FILES.items():
        done = sslkit("export", finished.folder, "--format", form, "--out", folder / file)
        assert done.code == 0, done.err
        assert f"{file}: agrees with torch on 200 test images (batch sizes 1, 3, 16, 32" in done.out
    return folder


def runner(form: str, folder: Path) -> Callable[[Array], Array]:
    """The file in another program's hands."""
    if form == "onnx":
        session = onnxruntime.InferenceSession(folder / FILES[form])
        return lambda images: np.asarray(session.run(["probabilities"], {"images": images})[0])
    module = torch.export.load(folder / FILES[form]).module()
    return lambda images: module(torch.from_numpy(images)).detach().numpy()


def prepared(file: Path, size: int) -> Array:
    """As the JSON describes it in words."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return np.asarray(image).transpose(2, 0, 1)


def photos() -> list[Path]:
    """Pictures of several shapes, one of them on its side."""
    rng = np.random.default_rng(0)
    files = []
    for i, shape in enumerate([(8, 8), (30, 41), (64, 23), (17, 17), (9, 40)]):
        image = Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6 if i == 2 else 1
        image.save(f"{i}.png", exif=exif)
        files.append(Path(f"{i}.png"))
    return files


@pytest.mark.parametrize("form", FILES)
def test_another_program_gives_what_predict_gives(form: str, exported: Path, finished: Finished) -> None:
    about = json.loads((exported / f"{FILES[form]}.json").read_text())
    assert about["classes"] == list("0123456789")
    assert about["check"]["same_class"] == 1
    assert about["check"]["largest_difference"] < 1e-5
    files = photos()
    images = np.stack([prepared(file, about["size"]) for file in files])
    call = runner(form, exported)
    found = call(images)
    assert sslkit("predict", finished.folder, *files, "--all").code == 0
    with Path("predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = np.array([[float(row[name]) for name in about["classes"]] for row in rows])
    np.testing.assert_allclose(found, expected, atol=6e-5)  # the CSV has four digits
    for size in (1, 3, 70):
        many = np.resize(images, (size, *images.shape[1:]))
        np.testing.assert_allclose(call(many), np.resize(found, (size, 10)), atol=1e-5)


def test_the_same_words_stand_in_the_files(exported: Path) -> None:
    assert {p.name for p in exported.iterdir()} == {*FILES.values(), *(f"{file}.json" for file in FILES.values())}
    about = {form: json.loads((exported / f"{file}.json").read_text()) for form, file in FILES.items()}
    for said in about.values():
        del said["check"]  # was not done yet
    model = onnx.load(exported / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    inside = {entry.key: entry.value for entry in model.metadata_props}
    assert inside == {k: v if isinstance(v, str) else json.dumps(v) for k, v in about["onnx"].items()}
    (images,) = model.graph.input
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    extra = {"sslkit.json": ""}
    torch.export.load(exported / "m.pt2", extra_files=extra)
    assert json.loads(extra["sslkit.json"]) == about["torch"]


@pytest.mark.slow
def test_convolutions(untimed: None) -> None:
    made = run("--backbone", "wrn_10_1", "--stages", "finetune", "--json")
    folder = folder_of(made, Path("runs"))
    for form, file in FILES.items():
        assert sslkit("export", folder, "--format", form, "--out", file).code == 0
        assert json.loads(Path(f"{file}.json").read_text())["check"]["largest_difference"] < 1e-5
    images = np.random.default_rng(1).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    np.testing.assert_allclose(runner("onnx", Path())(images), runner("torch", Path())(images), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet18", "convnext_tiny", "vit_tiny", "wrn_28_2"])
def test_other_networks(backbone: str, untimed: None) -> None:
    folder = folder_of(run("--backbone", backbone, "--stages", "finetune", "--json"), Path("runs"))
    for form, file in FILES.items():
        assert sslkit("export", folder, "--format", form, "--out", file).code == 0


@pytest.mark.parametrize("form", FILES)
def test_a_file_that_differs_is_not_written(form: str, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(path: Path) -> graph.Run:
        assert path.is_file()
        return lambda images: torch.full((len(images), 10), 0.1)

    monkeypatch.setattr(graph, f"_write_{form}", lambda module, images, path, about: path.touch())
    monkeypatch.setattr(graph, f"_read_{form}", wrong)
    done = sslkit("export", finished.folder, "--format", form, "--out", FILES[form])
    assert_refused(done, "differ from torch's by up to", "more than 0.0001", "nothing is written")
    assert not list(Path().iterdir())


def test_one_probability_that_is_no_number_is_seen() -> None:
    class Half(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 2), 0.5)

    def nearly(images: torch.Tensor) -> torch.Tensor:
        p = torch.full((len(images), 2), 0.5)
        p[-1, 0] = float("nan") if len(images) == 32 else 0.5
        return p

    pixels = torch.zeros(36, 3, 4, 4, dtype=torch.uint8)
    with pytest.raises(UserError, match="differ"):
        graph.check(Half(), nearly, pixels, Path("x.onnx"))
    assert graph.check(Half(), nearly, pixels[:35], Path("x.onnx"))["batches"] == [1, 3, 31]


def test_a_missing_package_is_named(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = sslkit("export", finished.folder, "--format", "onnx", "--out", "m.onnx")
    assert_refused(done, "onnxruntime", "pip install onnx onnxscript onnxruntime")
    assert not list(Path().iterdir())


MISTAKES = {
    "another suffix": (["onnx", "m.pt2"], "ends in .onnx"),
    "the file is there": (["onnx", "there.onnx"], "there.onnx exists"),
    "its JSON is there": (["torch", "half.pt2"], "half.pt2.json exists"),
    "no folder": (["torch", "gone/m.pt2"], "gone/m.pt2"),
    "no validation part, calibrated": (["onnx", "m.onnx", "--calibrated"], "--val"),
    "no validation part, best": (["onnx", "m.onnx", "--network", "best"], "--val"),
    "unknown network": (["onnx", "m.onnx", "--network", "avreaged"], "did you mean 'averaged'"),
    "weights alone, calibrated": (["timm", "model", "--calibrated"], "drop --calibrated"),
    "pre-training, network": (["mae", "m.pth", "--network", "student"], "drop --network"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line_and_leave_nothing(case: str, finished: Finished) -> None:
    Path("there.onnx").touch()
    Path("half.pt2.json").touch()
    before = sorted(Path().rglob("*"))
    (form, out, *rest), words = MISTAKES[case]
    assert_refused(sslkit("export", finished.folder, "--format", form, "--out", out, *rest), words)
    assert sorted(Path().rglob("*")) == before


def test_it_is_checked_without_the_data_of_the_run(finished: Finished, tmp_path: Path) -> None:
    """On images that are given, or on noise where the data have moved; which of them is said and stored."""
    moved_run = tmp_path / "elsewhere/runs" / finished.folder.name
    shutil.copytree(finished.folder.parent, moved_run.parent)
    config = moved_run / "config.toml"
    config.write_text(config.read_text().replace('name = "digits"', 'name = "folder:moved"'))
    moved = sslkit("export", moved_run, "--format", "torch", "--out", "noise.pt2")
    assert moved.code == 0, moved.err
    assert "agrees with torch on 36 images of noise (" in moved.out
    assert "moved" in json.loads(Path("noise.pt2.json").read_text())["check"]["on"]
    for i in range(3):
        Image.new("L", (8, 8), 60 * i).save(f"{i}.png")
    given = ("--check-on", "0.png", "--check-on", "1.png")
    told = sslkit("export", moved_run, "--format", "torch", "--out", "given.pt2", *given)
    assert told.code == 0, told.err
    assert "agrees with torch on 2 images that were given" in told.out
    assert_refused(sslkit("export", moved_run, "--format", "torch", "--out", "x.pt2", "--check-on", "no.png"), "no.png")
    assert_refused(sslkit("export", moved_run, "--out", "x", "--check-on", "0.png"), "drop --check-on")
