"""The arrows run one way, and files stay short enough to be read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("algorithms", "backbones", "harness")


# What a newcomer reads in fifteen minutes, and how long it may be.
def sources(folder: str) -> list[Path]:
    """Python files of a root folder; `sslkit/algorithms` and its like are links to folders of their own."""
    top = ROOT / folder
    inside = [p for p in top.rglob("*.py") if not (folder == "sslkit" and p.relative_to(top).parts[0] in FOLDERS)]
    return sorted(p for p in inside if "__pycache__" not in p.parts)


def imported(file: Path) -> Iterator[str]:
    """Dotted names that a file imports, inside functions and for typing, too; relative ones made absolute."""
    package = list(file.relative_to(ROOT).with_suffix("").parts[:-1])
    package = ["sslkit", *package] if package[0] in FOLDERS else package
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, folder: str) -> bool:
    return any(name == at or name.startswith(at + ".") for at in (folder, f"sslkit.{folder}"))


def test_sources_are_found() -> None:
    assert len(sources("sslkit")) > 20
    assert len(sources("algorithms")) > 10
    assert len(sources("backbones")) > 5


def test_imports_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "sslkit" / "x.py"
    file.parent.mkdir()
    file.write_text(
        "def f():\n    from .algorithms import ema\nfrom sslkit import backbones\nimport sslkit.harness.a\n"
    )
    found = set(imported(file))
    assert {"sslkit.algorithms.ema", "sslkit.backbones", "sslkit.harness.a"} <= found


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_kernel_imports_no_part(folder: str) -> None:
    wrong = [(file.name, name) for file in sources("sslkit") for name in imported(file) if within(name, folder)]
    assert not wrong


def test_the_kernel_names_no_algorithm_but_its_defaults() -> None:
    """Names in strings: what a run takes when nothing is asked, and the control arm, are the only ones.

    A policy of augmentation is called after the paper that published it, and data sets name policies.
    """
    known = {p.stem for p in sources("algorithms")} - {"__init__", "none", "self", "ema", "threshold"}
    found = set()
    for file in sources("sslkit"):
        if file.parent.name in ("augment", "datasets"):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and node.value in known:
                found.add((file.name, node.value))
    assert {name for _, name in found} <= {"ema_teacher", "supervised", "mae"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_parts_import_the_kernel_and_not_each_other(folder: str) -> None:
    others = [other for other in FOLDERS if other != folder]
    wrong = [
        (file.name, name)
        for file in sources(folder)
        for name in imported(file)
        if any(within(name, other) for other in others)
    ]
    assert not wrong


@pytest.mark.parametrize("folder", ["sslkit", *FOLDERS, "tests", "benchmarks", "examples"])
def test_no_file_is_over_300_lines(folder: str) -> None:
    long = {str(p.relative_to(ROOT)): n for p in sources(folder) if (n := len(lines(p))) > 300}
    assert not long


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", FOLDERS)
def test_the_folders_are_linked_into_the_package(name: str) -> None:
    assert (ROOT / "sslkit" / name / "__init__.py").is_file()
    assert (ROOT / "sslkit" / name).resolve() == ROOT / name
