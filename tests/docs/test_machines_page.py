"""docs/machines.md: its Python runs, its table of events is that of the code, its lines for shells are click's."""

import re
import subprocess
import sys
from typing import get_args, get_type_hints

from sslkit.terminal.events import Event

from .page import blocks, text

PAGE = "docs/machines.md"


def test_its_python_runs() -> None:
    (block,) = blocks(PAGE, "python")
    subprocess.run([sys.executable, "-c", block], check=True)


def test_all_events_are_told() -> None:
    section = text(PAGE).partition("## Progress")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    known = [get_args(get_type_hints(kind)["event"])[0] for kind in get_args(Event)]
    assert sorted(told) == sorted(known)


def test_the_lines_for_shells() -> None:
    rows = re.findall(r"^\| (\w+) \| `[^`]*` \| `(.*)` \|$", text(PAGE), re.MULTILINE)
    assert [shell for shell, _ in rows] == ["bash", "zsh", "fish"]
    assert all(f"_SSLKIT_COMPLETE={shell}_source sslkit" in line for shell, line in rows)
