"""README's commands are run as they stand there, with fewer steps and smaller batches."""

import csv
import json
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sslkit.cli import main

from .page import ROOT, blocks, brief, commands, text

LONG = ["run", "--algo", "ema_teacher", "--mixer", "prob_pseudo", "--backbone", "vit_base"]


def run(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the command prints with --json."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def having(*words: str) -> list[list[str]]:
    """The commands that hold all the words, in README's order."""
    return [command for command in commands("README.md") if set(words) <= set(command)]


def picture(seed: int) -> bytes:
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def photos(folder: Path) -> None:
    """A training and a test part of two classes, and images without a label."""
    for i in range(50):
        part = "train" if i < 40 else "test" if i < 46 else "unlabeled"
        place = folder / part / ("cat" if i % 2 else "dog") if part != "unlabeled" else folder / part
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.png").write_bytes(picture(i))


def test_it_names_no_command_that_is_not_tested() -> None:
    tested = [LONG, *having("folder:photos")]
    for word in ("compare", "--tune", "--plugin", "predict", "audit", "map", "export"):
        tested += having(word)
    assert [c for c in commands("README.md") if c not in tested] == []
    assert len(tested) == 10
    targets = re.findall(r"^\*\*`make ([a-z-]+)`\*\*", text("README.md"), re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", text("Makefile"), re.MULTILINE) for target in targets)


def test_plain_commands_install_and_run_what_make_does() -> None:
    makefile = text("Makefile").replace("$(VENV)", ".venv")
    plain = [block for block in blocks("README.md", "sh") if block.startswith("python3 -m venv .venv && ")]
    assert len(plain) == 2
    for block, target in zip(plain, ("demo", "test"), strict=True):
        install, *_, command = block.strip().splitlines()
        assert install == "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]' &&"
        assert f"\n{target}: $(READY)" in makefile
        assert f"\n\t{command}\n" in makefile
    assert "-c constraints.txt -e '.[test]'" in makefile
    assert having(*LONG) == [LONG]


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    results = run(brief(LONG), capsys)
    assert [row["stage"] for row in results["stages"]] == ["finetune", "finetune+", "semi"]
    assert results["stages"][-1]["method"] == "ema_teacher x prob_pseudo"
    assert {"averaged", "student"} <= set(results["stages"][-1]["networks"])


@pytest.mark.usefixtures("here")
def test_comparing(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = having("compare")
    short = [word if word != "8" else "1" for word in command]
    assert main([*short, *brief(["run"])[1:], "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {line["row"] for line in shown["summary"]} > {"finetune", "finetune+", "ema_teacher x prob_pseudo"}
    (tuning,) = having("--tune")
    hidden = run(brief(tuning), capsys)
    assert hidden["config"]["data.tune"] is True
    assert hidden["config"]["semi.lr"] == 2e-3
    assert not any(row["key"] in {r["key"] for r in shown["rows"]} for row in hidden["stages"])


def test_the_example_of_ten_lines(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = blocks("README.md", "python")
    (here / "soft.py").write_text(source, "utf-8")
    (command,) = having("--plugin")
    results = run(brief(command), capsys)
    assert results["config"]["labeler.name"] == "soft"
    assert results["config"]["labeler.power"] == 4
    assert results["stages"][-1]["pseudo_labels"]["coverage"] == 1, "this labeler keeps every image"
    code = [line for line in source.splitlines() if line.strip()]
    assert len(code) <= 12


def test_images_in_folders(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(here / "photos")
    (here / "new").mkdir()
    for i in range(3):
        (here / "new" / f"{i}.png").write_bytes(picture(100 + i))
    look, train = having("folder:photos")
    assert main(look) == 0
    assert "cat" in capsys.readouterr().out
    assert train[-2:] == ["--time", "1h"]
    results = run(brief(train[:-2]), capsys)
    assert results["config"]["data.labels"] == "all"
    folder = str(Path("runs", results["run"]))
    (predict,), (audit,), (drawn,), (export,) = (having(word) for word in ("predict", "audit", "map", "export"))
    found = run([folder if word == "RUN" else word for word in predict], capsys)
    assert found["images"] == 3
    with open("new.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "class", "confidence"]
    assert [Path(row[0]).name for row in rows[1:]] == ["0.png", "1.png", "2.png"]
    assert {row[1] for row in rows[1:]} <= {"cat", "dog"}
    assert main([folder if word == "RUN" else word for word in audit]) == 0
    assert Path("audit/index.html").is_file()
    assert main([folder if word == "RUN" else word for word in drawn]) == 0
    assert Path("map.html").is_file()
    assert main([folder if word == "RUN" else word for word in export]) == 0
    assert json.loads(Path("model.onnx.json").read_text("utf-8"))["classes"] == ["cat", "dog"]


def test_it_says_which_torch_is_tested() -> None:
    (pin,) = re.findall(r"^torch==(\S+)$", text("constraints.txt"), re.MULTILINE)
    (least,) = re.findall(r'"torch>=(\S+)"', text("pyproject.toml"))
    assert f"CI tests torch {pin} " in text("README.md")
    assert f"; {least} and newer" in text("README.md")


def test_links_lead_somewhere_and_to_every_page() -> None:
    pages = {path.resolve() for path in (ROOT / "docs").rglob("*.md")}
    found, waiting = set(), [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    while waiting:
        page = waiting.pop()
        found.add(page)
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            there = (page.parent / target).resolve()
            assert there.exists(), f"{page}: {target}"
            if there.suffix == ".md" and there not in found:
                waiting.append(there)
    assert pages <= found, pages - found
