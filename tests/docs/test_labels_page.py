"""docs/labels.md: every command is run as it stands there, with fewer steps, on pictures of digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from sslkit.cli import main
from sslkit.labelling import FORMATS, TABLE
from sslkit.terminal import screen
from tests.labelling.loop import table

from .page import ROOT, commands, text

PAGE = "docs/labels.md"
SMALL = ("--backbone", "wrn_10_1", "--size", "8", "--device", "cpu", "--precision", "fp32", "--threads", "1")
FEW = ("finetune.batch=8", "semi.batch=8", "semi.mu=1", "finetune.steps=3", "semi.steps=2")


def photos() -> dict[str, str]:
    """Forty pictures of three classes in `photos`, and what is true of them."""
    data, truth = load_digits(), dict[str, str]()
    for i in np.flatnonzero(data.target < 3)[:40].tolist():
        truth[f"{i:03d}.png"] = ("cat", "dog", "hen")[data.target[i]]
        Path("photos").mkdir(exist_ok=True)
        Image.fromarray((data.images[i] * 255 / 16).round().astype(np.uint8)).save(f"photos/{i:03d}.png")
    return truth


def export(file: str, addresses: list[str], truth: dict[str, str]) -> None:
    """As Label Studio exports annotated tasks."""
    tasks = []
    for address in addresses:
        value = {"choices": [truth[address.rpartition("/")[2]]]}
        item = {"from_name": "choice", "to_name": "image", "type": "choices", "value": value}
        tasks.append({"data": {"image": address}, "annotations": [{"was_cancelled": False, "result": [item]}]})
    Path(file).write_text(json.dumps(tasks), "utf-8")


@pytest.mark.usefixtures("here")
def test_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    truth = photos()
    known = [*truth][:24]
    export("export.json", [f"/data/local-files/?d=photos/{name}" for name in known], truth)
    convert, by_table, directly, audit, back, again = commands(PAGE)
    sets = [word for setting in FEW for word in ("--set", setting)]
    assert main(convert) == 0
    assert table(Path("labels.csv")) == {f"photos/{name}": truth[name] for name in known}
    assert main([*by_table, *SMALL, *sets]) == 0
    (folder,) = Path("runs").glob("folder-*")
    capsys.readouterr()
    assert main([*directly, *SMALL, *sets]) == 0
    assert "Label Studio JSON, 24 images, 24 with a class" in " ".join(capsys.readouterr().err.split())

    assert main([str(folder) if word == "RUN" else word for word in audit]) == 0
    tasks = json.loads(Path("audit/label-studio.json").read_text("utf-8"))
    places = [Path("audit/label-studio.xml").read_text("utf-8").index(tag) for tag in ("<Header", "<Choices", "<Image")]
    assert places == sorted(places)  # a large image would push the choices below the window
    export("project-1.json", [task["data"]["image"] for task in tasks], truth)
    Path("labels.csv").unlink()
    assert main(back) == 0
    assert table(Path("labels.csv")) == truth
    assert main([*again, *SMALL, *sets, "--pool", "all"]) == 0  # none is without a label


def test_every_format_is_named() -> None:
    assert all(f"`{name}`" in text(PAGE) for name in (*FORMATS, TABLE))


def test_its_picture_is_there_and_small() -> None:
    assert (ROOT / "docs/label-studio.png").stat().st_size < 300_000
    assert "](label-studio.png)" in text(PAGE)
