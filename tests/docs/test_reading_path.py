"""The fifteen minutes of ARCHITECTURE.md: every file is there, linked in this order, and short."""

import ast
import re
from pathlib import Path

import pytest

from .page import ROOT, text

# In the order of reading; files in one tuple share a limit. The last two come after the fifteen minutes.
PATH = {
    ("README.md",): 120,
    ("ARCHITECTURE.md",): 100,
    ("sslkit/contracts.py",): 180,
    ("sslkit/step.py",): 120,
    ("algorithms/fixmatch.py",): 40,
    ("algorithms/ema_teacher.py", "algorithms/mixers/prob_pseudo.py"): 120,
    ("sslkit/engine.py",): 250,
    ("sslkit/registry.py",): 150,
    ("sslkit/config.py",): 200,
}
KERNEL = ROOT / "sslkit"
FOLDERS = ("algorithms", "backbones", "harness")


@pytest.mark.parametrize(("files", "limit"), PATH.items(), ids=lambda value: str(value))
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


def imported(file: Path) -> set[str]:
    """Modules that a file imports, wherever in it; relative imports are not used in these folders."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {str(node.module)} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def test_the_arrows_run_one_way() -> None:
    others = {folder: [f"sslkit.{f}" for f in FOLDERS if f != folder] for folder in FOLDERS}
    others["sslkit"] = [f"sslkit.{f}" for f in FOLDERS]
    for folder, forbidden in others.items():
        files = [*KERNEL.glob("*.py"), *(KERNEL / "datasets").glob("*.py")]
        for file in files if folder == "sslkit" else (ROOT / folder).rglob("*.py"):
            wrong = {m for m in imported(file) if any(m == f or m.startswith(f"{f}.") for f in forbidden)}
            assert not wrong, f"{file} imports {wrong}"


def test_the_map_names_every_folder() -> None:
    listed = set(re.findall(r"^    (\w+)/ ", text("ARCHITECTURE.md"), re.MULTILINE))
    hidden = {"runs", "build", "dist"}
    there = {
        p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith((".", "_")) and ".egg" not in p.name
    }
    assert there - hidden <= listed | {"shared"}
    assert {*FOLDERS, "sslkit", "tests", "docs", "benchmarks"} <= listed
