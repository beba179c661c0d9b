"""What the tests read from a page: its fenced blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)


def commands(name: str) -> list[list[str]]:
    """Every `sslkit` command of a page, as arguments; lines joined by && are taken apart."""
    lines = [part for block in blocks(name, "sh") for line in block.splitlines() for part in line.split("&&")]
    found = [shlex.split(line) for line in lines if line.strip().startswith(".venv/bin/sslkit ")]
    return [arguments[1:] for arguments in found]


def brief(arguments: list[str]) -> list[str]:
    """A `sslkit run` at reduced steps, on one thread; what the command says itself stands."""
    few = ("finetune.steps=1", "semi.steps=1", "finetune.batch=4", "semi.batch=4")
    return [*arguments, "--threads", "1", *(word for setting in few for word in ("--set", setting))]
