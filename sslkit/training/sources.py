"""The hash of a part's source, which is in the key of every stage that uses it.

It is of what can change a result: the code of the part's classes and of all that their modules import from the same
package. Comments, docstrings and blank lines are no code, and what registers parts or words errors changes no result.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import sys
import tokenize
import types
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from sslkit.plugins import source_of

LEFT_OUT = ("sslkit", "sslkit.errors", "sslkit.registry")  # modules that cannot change a result
_kept: ContextVar[dict[type, str] | None] = ContextVar("kept", default=None)
Span = tuple[int, int, int]  # line, from 1; its first character; the one after its last


def source_hash(cls: type) -> str:
    """16 hexadecimal digits, of the code of a class, of its bases, and of what their modules import.

    Files are read once a process, as they are what it runs.
    """
    kept = _kept.get()
    if kept is None:
        return _hash(cls)
    if cls not in kept:
        kept[cls] = _hash(cls)
    return kept[cls]


@contextmanager
def hashed_once() -> Iterator[None]:
    """Within, a class is hashed once: a comparison asks for the same ones many times."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def _hash(cls: type) -> str:
    root = cls.__module__.partition(".")[0]
    waiting, found = [base.__module__ for base in cls.__mro__], {}
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        own = name.partition(".")[0] in (root, "sslkit") and name not in LEFT_OUT
        if module is None or not own or name in found or not getattr(module, "__file__", None):
            continue
        found[name] = code(source_of(module))
        for called, value in vars(module).items():
            if not called.startswith("__"):  # torch.compile leaves such names behind: pytorch/pytorch#108147
                waiting.append(value.__name__ if isinstance(value, types.ModuleType) else _home(value))
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(found[name].encode())
    return digest.hexdigest()[:16]


def _home(value: object) -> str:
    is_code = inspect.isclass(value) or inspect.isfunction(value)
    return str(getattr(value, "__module__", "")) if is_code else ""


@cache
def code(source: bytes) -> str:
    """The lines of a Python file without comments, docstrings and blank lines; the same under every Python."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    text = io.TextIOWrapper(io.BytesIO(source), encoding).read()
    lines, tree = text.split("\n"), ast.parse(source)
    docs = [*_docstrings(tree)]
    for row, start, end in sorted({*_comments(text), *_spans(docs, lines)}, reverse=True):
        lines[row - 1] = lines[row - 1][:start] + lines[row - 1][end:]
    texts = {row for node in ast.walk(tree) if node not in docs for row in _rows(node)}
    kept = (line if row in texts else line.rstrip() or None for row, line in enumerate(lines, 1))
    return "\n".join(line for line in kept if line is not None)


def _comments(text: str) -> Iterator[Span]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.start[1], token.end[1]


def _docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str()) as first), *_]:
                    yield first


def _spans(nodes: list[ast.expr], lines: list[str]) -> Iterator[Span]:
    """Where expressions stand; ast counts bytes within a line, and these are characters."""
    for node in nodes:
        last = node.end_lineno or node.lineno
        for row in range(node.lineno, last + 1):
            line = lines[row - 1].encode()
            start = len(line[: node.col_offset].decode()) if row == node.lineno else 0
            yield row, start, len(line[: node.end_col_offset].decode()) if row == last else len(line.decode())


def _rows(node: ast.AST) -> range:
    """The lines that end within a text of several lines: blanks at their ends are the text's own."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
        return range(node.lineno, node.end_lineno or node.lineno)
    return range(0)
