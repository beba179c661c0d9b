"""The source hash sees what can change a result, and nothing else."""

from __future__ import annotations

import ast
import sys
import tokenize
from io import BytesIO
from pathlib import Path

import pytest

from sslkit import registry
from sslkit.plugins import load_plugin, source_of
from sslkit.training import sources, spec
from sslkit.training.sources import code, source_hash
from tests.architecture.imports import BESIDE, ROOT
from tests.architecture.imports import sources as files

OWN = [file for folder in ("sslkit", *BESIDE) for file in files(folder)]
TEXT = '''"""A module."""

import os  # first


class A:
    """A class,
    of two lines."""

    x: int = 1  # type: ignore[x]
    """What x is."""

    def f(self, y="# no comment"):  # comment
        "A docstring, too."
        # alone
        return f"{y}  # no comment" + """
  # no comment\x20\x20

"""
'''


def test_what_is_left_of_a_file() -> None:
    assert (
        code(TEXT.encode())
        == '''import os
class A:
    x: int = 1
    """What x is."""
    def f(self, y="# no comment"):
        return f"{y}  # no comment" + """
  # no comment\x20\x20

"""'''
    )


@pytest.mark.parametrize("file", OWN, ids=lambda file: str(file.relative_to(ROOT)))
def test_of_every_file_all_code_stays_and_all_else_goes(file: Path) -> None:
    """By readers that the hash does not use: the syntax tree, and comments that are put in."""
    source = file.read_bytes()
    assert tree(code(source)) == tree(source.decode())
    assert code(commented(source)) == code(source)


def tree(text: str) -> str:
    """The syntax tree without docstrings, and without the bodies that are nothing else."""
    parsed = ast.parse(filled(text))
    for node in ast.walk(parsed):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            node.body = node.body[documented:] or [ast.Pass()]
    return ast.dump(parsed)


def filled(text: str) -> str:
    """With `pass` where a body is gone with its docstring."""
    lines = text.split("\n")
    while True:
        try:
            ast.parse("\n".join(lines))
            return "\n".join(lines)
        except IndentationError as error:
            opened = lines[: error.lineno]
            at = max(i for i, line in enumerate(opened[:-1], 1) if line.rstrip().endswith(":"))
            lines.insert(at, " " * (len(lines[at - 1]) - len(lines[at - 1].lstrip()) + 4) + "pass")


def commented(source: bytes) -> bytes:
    """With a comment behind, and one beneath, every logical line."""
    lines = source.decode().split("\n")
    ends = {t.start[0] for t in tokenize.tokenize(BytesIO(source).readline) if t.type == tokenize.NEWLINE}
    for row in sorted(ends, reverse=True):
        lines[row - 1] += "  # said"
        lines.insert(row, "# and said again\n")
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x: int = 1", "x: int = 2"),
        ('"# no comment"', '"# a comment"'),
        ("comment  \n", "comment \n"),
        ("{y}", "{y!r}"),
    ],
)
def test_a_change_of_code_is_seen(old: str, new: str) -> None:
    assert old in TEXT
    assert code(TEXT.replace(old, new, 1).encode()) != code(TEXT.encode())


def test_a_file_in_another_encoding_and_with_other_ends_of_line() -> None:
    text = "# -*- coding: latin-1 -*-\nx = '\xe9'  # \xe9\n\n"
    assert code(text.encode("latin-1")) == code(text.replace("\n", "\r\n").encode("latin-1")) == "x = '\xe9'"


def test_a_comment_in_a_part_leaves_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "tests/plugins/swap.py").read_text("utf-8")
    hashes = []
    for content in (text, text + "# another line\n", text.replace('"""', '"""Now: ', 1), text + "x = 1\n"):
        monkeypatch.setattr(registry, "plugins", {})
        (tmp_path / "swap.py").write_text(content)
        load_plugin(tmp_path / "swap.py")
        hashes.append(source_hash(registry.load("mixer", "swap")))
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


@pytest.mark.parametrize("name", ["sslkit.errors", "sslkit.registry"])
def test_what_words_errors_or_registers_parts_is_left_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = registry.load("algorithm", "fixmatch")
    before = source_hash(cls)
    monkeypatch.setattr(sources, "source_of", lambda m: source_of(m) + b"\nx = 1\n" * (m is sys.modules[name]))
    assert source_hash(cls) == before
    monkeypatch.setattr(sources, "source_of", lambda m: source_of(m) + b"\nx = 1\n" * (m.__name__ == "sslkit.losses"))
    assert source_hash(cls) != before


def test_what_torch_compile_leaves_in_a_module_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = registry.load("backbone", "vit_micro")
    before = source_hash(backbone)
    monkeypatch.setattr(sys.modules[backbone.__module__], "__import_sslkit_dot_spec", spec, raising=False)
    assert source_hash(backbone) == before
    monkeypatch.setattr(sys.modules[backbone.__module__], "spec", spec, raising=False)
    assert source_hash(backbone) != before
