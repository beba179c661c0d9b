"""A small run of a small network, by `sslkit.cli.main`, and how two stores are compared.

In a process of its own: python -m tests.reliability.small run …
"""

from __future__ import annotations

import json
from pathlib import Path

from sslkit.backbones._timm import Width
from sslkit.backbones.vit_micro import ViTMicro
from sslkit.cli import entry_point, main

SHIPPED = ViTMicro.width
WIDTH = Width(dim=32, depth=2, heads=2)  # of vit_micro here: its weights are written some hundred times

SMALL = [
    *("run", "--algo", "flexmatch", "--backbone", "vit_micro", "--threads", "1", "--no-control", "--save-every", "0"),
    *("--precision", "fp32"),  # and not what a busy machine takes for the faster one
    *("--set", "labeler.tau=0.3", "--set", "finetune.steps=4", "--set", "finetune.batch=4"),
    *("--set", "semi.steps=22", "--set", "semi.batch=4", "--set", "semi.mu=2"),
]


def narrow() -> None:
    """For a process that a test starts; in that of the tests a fixture does it."""
    ViTMicro.width = WIDTH


def small(root: Path, *more: str) -> int:
    """The small run in the store `root`; its exit code."""
    return main([*SMALL, "--runs", str(root), *more])


def stages(root: Path) -> dict[str, Path]:
    """Label -> folder of every stage of the one run in a store."""
    about = json.loads(next(root.glob("*/run.json")).read_text("utf-8"))
    return {label: root / "stages" / key for label, key in about["stages"].items()}


def assert_equal(root: Path, quiet: Path) -> None:
    """Weights, predictions and scores of two stores are equal to the bit, and nothing unfinished is left."""
    assert [path.name for path in stages(root).values()] == [path.name for path in stages(quiet).values()]
    for label, folder in stages(root).items():
        other = stages(quiet)[label]
        for name in ("weights.safetensors", "predictions.safetensors"):
            assert (folder / name).read_bytes() == (other / name).read_bytes(), f"{label}: {name}"
        scores = [json.loads((path / "result.json").read_text("utf-8"))["networks"] for path in (folder, other)]
        assert scores[0] == scores[1]
    assert not leftovers(root)


def leftovers(root: Path) -> list[str]:
    """Working folders, unfinished files anywhere in a store, and checkpoints in published stages."""
    found = [path for path in (root / "stages").glob(".*") if path.is_dir()]
    found += [path for pattern in ("*.tmp", ".tmp*") for path in root.rglob(pattern) if path.is_file()]
    return [path.name for path in (*found, *root.glob("stages/[!.]*/checkpoint-*"))]


def checkpoints(root: Path, label: str) -> list[Path]:
    """The checkpoints of a stage that is being trained."""
    return sorted((root / "stages" / f".{stages(root)[label].name}").glob("checkpoint-*.safetensors"))


def one_line(error: str) -> str:
    """The error of a command: one line at the end of what it says, and no traceback."""
    assert "Traceback" not in error, error
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, error
    assert error.rstrip().endswith(lines[0]), error
    return lines[0]


if __name__ == "__main__":
    narrow()
    entry_point()
