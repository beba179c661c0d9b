"""docs/weights.md: its code is run, and its table is what the code prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit.weights.matching import PREFIXES
from sslkit.weights.reading import CONTAINERS, PICKLED
from tests.docs.page import blocks, text

from .make import mae_decoder, mae_encoder, saved

PAGE = "docs/weights.md"


def lines(table: str) -> list[str]:
    return [line.rstrip() for line in table.strip().splitlines()]


def test_code_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "112")
    saved(tmp_path, {"model": mae_encoder(192, 16, 14, depth=12) | mae_decoder(192)}, "mae.pth")
    names: dict[str, Any] = {}
    for source in blocks(PAGE, "python"):
        exec(compile(source, PAGE, "exec"), names)
    assert lines(capsys.readouterr().out) == lines(blocks(PAGE, "text")[0])
    network, model = names["network"].eval(), names["model"].eval()
    x = torch.randn(2, 3, 96, 96)
    assert network(x).logits.equal(model(x))


def test_every_ending_container_and_prefix_is_named() -> None:
    page = text(PAGE)
    for name in (".safetensors", *PICKLED, *CONTAINERS, *(f"{prefix}." for prefix in PREFIXES)):
        assert f"`{name}`" in page
