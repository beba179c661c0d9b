"""docs/map.md: its command runs, its columns are the file's, its images are unpacked; what tools need is theirs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from sslkit.cli import main
from sslkit.finished.scatter.table import SCHEMA

from .page import ROOT, blocks, commands, text

PAGE = "docs/map.md"
TINY = ("--device", "cpu", "--precision", "fp32", "--threads", "1", "--no-control", "--stages", "finetune")


def test_its_command_and_its_first_block(here: Path) -> None:
    few = ("--backbone", "vit_micro", "--set", "finetune.steps=1", "--set", "finetune.batch=4")
    assert main(["run", *TINY, *few]) == 0
    (run,) = (str(path.parent) for path in here.glob("runs/*/run.json"))
    (command,) = commands(PAGE)
    assert main([word.replace("RUN", run) for word in command]) == 0
    table = pq.read_table("map.parquet")
    exec(blocks(PAGE, "python")[0], {})
    files = sorted(Path("map-images").glob("*/*"))
    assert len(files) == len(table) == 1797
    assert {file.parent.name for file in files} == {*table["part"].to_pylist()}
    assert np.asarray(Image.open(files[0])).shape == (8, 8, 3)


def test_its_table_has_all_columns() -> None:
    cells = re.findall(r"^\| (`.+?) \| (?:struct|string|float|list)", text(PAGE), re.MULTILINE)
    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == [
        *("image", "path", "part", "label", "prediction", "confidence", "margin", "x", "y", "probabilities", "vector")
    ]
    assert {*SCHEMA.names} == {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_its_picture_is_there_and_small_and_its_code_is_python() -> None:
    assert (ROOT / "docs/map.png").stat().st_size < 300_000
    assert "](map.png)" in text(PAGE)
    for block in blocks(PAGE, "python"):
        ast.parse(block)
