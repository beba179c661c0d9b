"""A part of every kind to begin with: what `sslkit new` copies, each a sound one that runs."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

from sslkit import registry
from sslkit.errors import UserError, unknown
from sslkit.store.files import write_text

HERE = Path(__file__).parent
KIND = [file.stem for file in sorted(HERE.glob("[!_]*.py"))]

PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "sslkit-{project}"
version = "0.1.0"
description = "{about}"
requires-python = ">=3.11"
dependencies = ["sslkit"]

[project.entry-points."sslkit.{kind}s"]
{name} = "{name}:{cls}"

[tool.setuptools]
py-modules = ["{name}"]
"""
TEST = '''\
"""What sslkit's contracts promise holds for {cls}."""

from {name} import {cls}
from sslkit.testing import assert_conforms


def test_it_conforms() -> None:
    assert_conforms({cls})
'''


def new(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a small package with one part of a kind: its module, a test, and a project file with the entry point.

    Args:
        name: of the part and of its module, in small letters with underscores.
        folder: that does not exist yet.

    Raises:
        UserError: an unknown kind, a name that no module can have, or the folder is there.
    """
    if kind.removesuffix("s") not in KIND:
        raise unknown("kind of part", kind, KIND)
    kind = kind.removesuffix("s")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(
            f"{name!r} cannot be the name of a module: use small letters, digits and underscores, as my_{kind}"
        )
    if importlib.util.find_spec(name) or name in {entry.name for entry in registry.entries(kind)}:
        raise UserError(f"{name!r} is the name of a {kind} or module that is there; choose another, as my_{name}")
    if folder.exists():
        raise UserError(f"{folder} exists and is not overwritten; choose another --out")
    cls = "".join(word.capitalize() for word in name.split("_"))
    text = (HERE / f"{kind}.py").read_text("utf-8").replace("Mine", cls)
    about = text.partition('"""')[2].partition("\n")[0].rstrip('."')
    words = {"kind": kind, "name": name, "cls": cls, "project": name.replace("_", "-"), "about": about}
    files = {f"{name}.py": text, f"test_{name}.py": TEST.format(**words), "pyproject.toml": PROJECT.format(**words)}
    folder.mkdir(parents=True)
    for file, content in files.items():
        write_text(folder / file, content)
    return [folder / file for file in files]
