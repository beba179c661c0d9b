"""The command of docs/tracking.md is run, and its table has the trackers that there are."""

import re
from pathlib import Path

from sslkit import registry
from sslkit.cli import main
from tests.trackers.readers import differences

from .page import brief, commands, text

PAGE = "docs/tracking.md"


def test_the_command_runs(here: Path) -> None:
    (command,) = commands(PAGE)
    assert main([*brief(command), "--no-control"]) == 0
    assert differences(Path("runs"), "tensorboard") == []


def test_the_table_has_all_trackers_with_what_installs_them() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`pip install 'sslkit\[(\w+)\]'`)? *\|", text(PAGE), re.MULTILINE)
    trackers = {entry.name: registry.load("tracker", entry.name).extra for entry in registry.entries("tracker")}
    assert dict(rows) == trackers
