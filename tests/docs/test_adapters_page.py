"""docs/adapters.md: its commands are run with fewer steps; its table has the adapters and the sizes that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sslkit import registry
from sslkit.cli import main

from .page import brief, commands, text

PAGE = "docs/adapters.md"
FEW = ("--no-control", "--set", "pretrain.steps=1", "--set", "pretrain.batch=4", "--set", "pretrainer.decoder_dim=32")


def test_its_commands_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslkit.terminal.screen.step_seconds", lambda *_: {})
    for command in commands(PAGE):
        run = next((str(path.parent) for path in here.glob("runs/*/run.json")), "")
        called = [word.replace("RUN", run) for word in command]
        pretrains = "--pretrain" in called
        assert main([*brief(called), *(FEW if pretrains else FEW[:1])] if called[0] == "run" else called) == 0, command


def test_its_table_has_all_adapters() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (?:all networks|vision transformers) \|$", text(PAGE), re.MULTILINE)
    assert {*rows} == {entry.name for entry in registry.entries("adapter") if entry.origin == "built in"}


def test_its_defaults_are_the_adapters() -> None:
    for name in ("head", "norm", "bias", "lora", "adaptformer"):
        defaults = registry.load("adapter", name).defaults
        assert defaults["finetune.lr"] == defaults["semi.lr"] == 1e-3
        assert defaults["finetune.weight_decay"] == defaults["semi.weight_decay"] == 5e-4
        assert defaults["finetune.layer_decay"] == 1
    assert "1e-3, both weight decays 5e-4 and `finetune.layer_decay` 1" in text(PAGE)
