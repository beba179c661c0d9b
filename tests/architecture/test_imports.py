"""The arrows run one way, and files stay short enough to be read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture import imports
from tests.architecture.imports import BESIDE as FOLDERS
from tests.architecture.imports import ROOT, circles, files, rooms, sources

# what the author of a method meets, the public names, and the run as a whole
AT_THE_ROOT = {
    *(
        "contracts",
        "testing",
        "step",
        "losses",
        "blend",
        "network",
        "adapter",
        "reader",
        "tracker",
        "average",
        "randomness",
        "registry",
        "version",
        "plugins",
    ),
    *("__init__", "__main__", "errors", "pipeline", "frozen", "guided", "logistic"),
}


def imported(file: Path) -> list[str]:
    return [f"{module}.{name}".rstrip(".") for module, name in imports.imported(file)]


def within(name: str, folder: str) -> bool:
    return any(name == at or name.startswith(at + ".") for at in (folder, f"sslkit.{folder}"))


def test_sources_are_found() -> None:
    assert len(sources("sslkit")) > 20
    assert len(sources("algorithms")) > 10
    assert len(sources("backbones")) > 5


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Two rooms and a file at the root of a kernel, by text."""
    texts = {
        "sslkit/__init__.py": "from sslkit import top\n",
        "sslkit/top.py": "def f():\n    from .b import deep\n",
        "sslkit/a/__init__.py": "from sslkit.b.deep import x\n",
        "sslkit/b/__init__.py": "",
        "sslkit/b/deep.py": "import sslkit.c\n",
        "sslkit/c.py": "from sslkit.harness import load\n",
        "harness/__init__.py": "",
        "harness/pages/p.py": "from sslkit.a import x\nfrom sslkit.harness import load\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_seen(checkout: Path) -> None:
    assert files(checkout) == {
        "sslkit": {"sslkit.top"},
        "sslkit.top": {"sslkit.b.deep"},
        "sslkit.a": {"sslkit.b.deep"},
        "sslkit.b": set(),
        "sslkit.b.deep": {"sslkit.c"},
        "sslkit.c": {"sslkit.harness"},
        "sslkit.harness": set(),
        "sslkit.harness.pages.p": {"sslkit.a", "sslkit.harness"},
    }


def test_rooms_and_circles_are_seen(checkout: Path) -> None:
    graph = rooms(files(checkout), checkout)
    assert graph["a"] == {"b"}
    assert graph["harness/pages"] == {"a", "harness"}
    assert circles(graph) == []
    (checkout / "sslkit/b/other.py").write_text("from sslkit.a import x\n")
    assert circles(rooms(files(checkout), checkout)) == [["a", "b"]]
    assert circles(files(checkout)) == []


def test_imports_run_one_way() -> None:
    """Between files, and room by room: what is above is imported by nothing below."""
    assert circles(files()) == []
    assert circles(rooms(files())) == []


def test_rooms_stand_in_the_map_in_the_order_of_their_imports() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    listed = re.findall(r"^      (\w+)/ ", text, re.MULTILINE)
    graph = rooms(files())
    assert {*listed} == {room for room in graph if (ROOT / "sslkit" / room).is_dir() and "/" not in room} - {*FOLDERS}
    for place, room in enumerate(listed):
        above = {other for other in graph[room] if other.partition("/")[0] in listed[:place]}
        assert not above, f"{room} stands beneath {above} and imports them"


def test_at_the_root_of_the_kernel_stands_what_the_author_of_a_method_meets() -> None:
    assert {file.stem for file in (ROOT / "sslkit").glob("*.py")} == AT_THE_ROOT


def test_the_root_of_the_harness_is_what_a_notebook_imports() -> None:
    assert {file.stem for file in (ROOT / "harness").glob("*.py")} == {"__init__", "history", "figures"}


def test_a_run_reads_from_top_to_bottom() -> None:
    assert len(files()["sslkit.pipeline"]) <= 11


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_kernel_imports_no_part(folder: str) -> None:
    wrong = [(file.name, name) for file in sources("sslkit") for name in imported(file) if within(name, folder)]
    assert not wrong


def test_the_kernel_names_no_algorithm_but_its_defaults() -> None:
    """Names in strings: what a run takes when nothing is asked, the control arm and the probe are the only ones.

    A policy of augmentation is called after the paper that published it, and data sets name policies; two adapters are
    called after what every network has.
    """
    known = {p.stem for p in sources("algorithms")} - {"__init__", "none", "self", "ema", "threshold", "head", "bias"}
    known -= {"mixup"}  # a key of the configuration, too
    found = set()
    for file in sources("sslkit"):
        if file.parent.name in ("augment", "datasets"):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and node.value in known:
                found.add((file.name, node.value))
    assert {name for _, name in found} <= {"ema_teacher", "supervised", "mae", "full", "linear"}


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
