"""What documents and examples import from sslkit is there: every such line of theirs is executed."""

import re
from pathlib import Path

import pytest

from .page import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FENCED = re.compile(r"^[ ]*```\w*\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
IMPORT = re.compile(r"^[ ]*((?:from sslkit[\w.]* import (?:\([^)]*\)|[^(\n]+)|import sslkit\b[^\n]*))$", re.MULTILINE)
AMONG_THEM = {
    ("docs/all.md", "import sslkit"),
    ("docs/all.md", "from sslkit.contracts import Setup, Stream"),
    ("docs/comparing.md", "from sslkit.harness import load"),
    ("docs/comparing.md", "from sslkit.harness.figures import curves"),
    ("docs/comparing.md", "from sslkit.harness.history import history"),
    ("docs/plugins.md", "from sslkit.step import PseudoLabeling"),
    ("docs/weights.md", "from sslkit.weights import export, load_weights"),
    ("README.md", "from sslkit.contracts import PseudoLabeler, PseudoLabels"),
    ("examples/reverse_mixer.py", "from sslkit.errors import UserError"),
}


def imports(code: str) -> list[str]:
    """The statements that import something of sslkit."""
    return IMPORT.findall(code)


def printed(file: Path) -> list[str]:
    """Those in the fenced blocks of a page, or in an example."""
    text = file.read_text("utf-8")
    return [line for code in (FENCED.findall(text) if file.suffix == ".md" else [text]) for line in imports(code)]


FOUND = sorted({(file.relative_to(ROOT).as_posix(), line) for file in PAGES + EXAMPLES for line in printed(file)})


def test_they_are_found() -> None:
    assert set(FOUND) >= AMONG_THEM
    assert {name for name, _ in FOUND} >= {file.relative_to(ROOT).as_posix() for file in EXAMPLES}
    # none is overlooked: no line of these files begins like an import and is not among them
    lines = [line for file in PAGES + EXAMPLES for line in file.read_text("utf-8").splitlines()]
    begun = {line.strip() for line in lines if re.match(r"\s*(from sslkit[\w.]* import|import sslkit\b)", line)}
    assert begun <= {found.partition("\n")[0].strip() for _, found in FOUND}


def test_all_forms_are_seen() -> None:
    forms = ["import sslkit.step as s", "from sslkit.x import a, b  # why", "from sslkit import (\n    c,\n)"]
    code = "\n".join(["import torch", forms[0], f"    {forms[1]}", forms[2], "from torch import d", ""])
    assert imports(code) == forms


@pytest.mark.parametrize(("name", "statement"), FOUND, ids=map(": ".join, FOUND))
def test_an_import_works(name: str, statement: str) -> None:
    exec(compile(statement, name, "exec"), {})
