"""The whole pipeline on a tree laid out like ImageNet, with an official index file, stopped within each stage."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder  # type: ignore[import-untyped]

from sslkit.cli import main
from tests.reliability.small import assert_equal, checkpoints, stages
from tests.reliability.test_interrupt import send

SYNSETS = ("n01440764", "n01443537", "n01484850")
STEPS = {"pretrain": 6, "finetune": 6, "semi": 12}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEG and PNG, grey and coloured, of many sizes and suffixes."""
    root, draw = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for i in range(66):
        part, size = ("val" if i % 6 == 5 else "train"), (16 + 7 * (i % 5), 16 + 5 * (i % 4))
        file = root / part / SYNSETS[i % 3] / f"{i}.{('JPEG', 'png', 'jpg')[i % 7 % 3]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(draw.integers(0, 256, (4, 4, 3), np.uint8)).resize(size)
        (image.convert("L") if i % 5 == 0 else image).save(file)
    return root


@pytest.fixture(scope="module")
def index(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four of each class, by their positions in torchvision's order."""
    targets = ImageFolder(str(tree / "train")).targets
    chosen = [i for c in range(3) for i in np.flatnonzero(np.array(targets) == c)[2:6].tolist()]
    file = tmp_path_factory.mktemp("index") / "4_per_class.csv"
    file.write_text("Index\n" + "".join(f"{i}\n" for i in chosen), "utf-8")
    return file


def command(tree: Path, index: Path, root: Path, how: list[str]) -> list[str]:
    keys = [f"{stage}.steps={steps}" for stage, steps in STEPS.items()]
    keys += ["pretrain.batch=8", "finetune.batch=4", "semi.batch=4", "semi.mu=2", "views.strong=semi_vit_strong"]
    return [
        *("run", "--data", "imagenet", "--data-dir", str(tree), "--labels", f"index:{index}", "--size", "16"),
        *("--backbone", "vit_micro", "--stages", "pretrain,finetune,semi", "--threads", "1", "--precision", "fp32"),
        *("--no-control", "--runs", str(root), *(word for key in keys for word in ("--set", key)), *how),
    ]


MASKED = ["--set", "pretrainer.decoder_dim=32", "--set", "pretrainer.decoder_depth=1"]
WHOLE = ["--set", "data.whole=true", "--set", "data.crop=0.875"]


@pytest.mark.parametrize("how", [MASKED, MASKED + WHOLE, ["--pretrain", "supervised:digits"]])
def test_stopped_in_every_stage_it_ends_equal_to_the_bit(
    how: list[str], tree: Path, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(command(tree, index, tmp_path / "quiet", how)) == 0
    root = tmp_path / "stopped"
    for stage, steps in STEPS.items():
        with monkeypatch.context() as patched:
            send(patched, stage, steps // 2, signal.SIGTERM)
            assert main(command(tree, index, root, how)) == 130
        assert checkpoints(root, stage)
    assert main(command(tree, index, root, how)) == 0
    assert_equal(root, tmp_path / "quiet")
    split = json.loads(next(root.glob("*/split.json")).read_text("utf-8"))
    assert sorted(split["labeled"]) == [int(line) for line in index.read_text("utf-8").split()[1:]]
    assert len(split["pool"]) == 55 - 12
    assert list(stages(root)) == ["pretrain", "finetune", "semi"]
