"""The fifteen minutes of ARCHITECTURE.md: every file is there, linked in this order, and short."""

import re
import shutil
import subprocess

import pytest

from .page import ROOT, text

# In the order of reading; files in one tuple share a limit. The last two come after the fifteen minutes.
PATH = {
    ("README.md",): 120,
    ("ARCHITECTURE.md",): 100,
    ("sslkit/contracts.py",): 200,
    ("sslkit/step.py",): 120,
    ("algorithms/fixmatch.py",): 40,
    ("algorithms/ema_teacher.py", "algorithms/mixers/prob_pseudo.py"): 120,
    ("sslkit/training/engine.py",): 250,
    ("sslkit/registry.py",): 154,
    ("sslkit/config/__init__.py",): 205,
}
FOLDERS = ("algorithms", "backbones", "harness")


@pytest.mark.parametrize(("files", "limit"), PATH.items(), ids=str)
def test_a_file_of_the_path_is_short(files: tuple[str, ...], limit: int) -> None:
    assert sum(len(text(file).splitlines()) for file in files) <= limit


def test_the_path_is_linked_in_its_order() -> None:
    _, _, section = text("ARCHITECTURE.md").partition("## Fifteen minutes")
    linked = re.findall(r"\[([^\]]+)\]\(([^)]+)\)", section)
    assert [name for name, _ in linked] == [file for files in PATH for file in files]
    assert all(name == target for name, target in linked)


def test_its_minutes_are_fifteen() -> None:
    _, _, section = text("ARCHITECTURE.md").partition("## Fifteen minutes")
    assert sum(map(int, re.findall(r"^\| (\d+) \|", section, re.MULTILINE))) == 15


def test_the_readme_leads_to_it() -> None:
    assert "(ARCHITECTURE.md)" in text("README.md")
    assert "15 minutes" in text("README.md")


def test_the_map_names_every_folder() -> None:
    listed = set(re.findall(r"^    (\w+)/ ", text("ARCHITECTURE.md").partition("They are imported")[0], re.MULTILINE))
    assert {*FOLDERS, "sslkit", "tests", "docs", "benchmarks"} <= listed
    assert all((ROOT / folder).is_dir() for folder in listed)
    if (ROOT / ".git").exists() and shutil.which("git"):
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        folders = {path.partition("/")[0] for path in tracked.split("\0") if "/" in path}
        assert {folder for folder in folders if not folder.startswith(".")} <= listed
