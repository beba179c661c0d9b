"""docs/configuration.md lists exactly the keys that there are, with the defaults that the code has."""

import re
from typing import Any

import pytest
import tomli_w

import sslkit
from sslkit import registry
from sslkit.config import PARTS, Config, Part, flatten
from sslkit.config.resolve import options, resolve

from .page import blocks, text

PAGE = "docs/configuration.md"
KEY = re.compile(r"^\| `([a-z_]+(?:\.[A-Za-z0-9_]+)*)` \| (.*?) \| (.*) ?\|$", re.MULTILINE)
PART_SECTION = "## The parts"


def toml(value: Any) -> str:
    return tomli_w.dumps({"x": "auto" if value is None else value})[4:].strip()


def test_the_kernels_keys_and_defaults() -> None:
    empty = Part("")
    code = flatten(Config(empty, empty, empty, empty, empty, empty))
    rows = KEY.findall(text(PAGE).partition(PART_SECTION)[0])
    listed = {key: default for key, default, _ in rows}
    assert len(listed) == len(rows), "a key stands twice"
    names = {f"{section}.name" for section in PARTS}
    assert listed == {key: f"`{toml(value)}`" for key, value in code.items() if key not in names}


def test_the_parts_keys_and_defaults() -> None:
    code = {}
    for section, kind in PARTS.items():
        for entry in registry.entries(kind):
            if entry.origin != "built in":
                continue
            cls = registry.load(kind, entry.name)
            for name, parameter in options(cls).items():
                if name != getattr(cls, "argument", None):
                    code[f"{section}.{name}", entry.name] = f"`{toml(parameter.default)}`"
    section = text(PAGE).partition(PART_SECTION)[2]
    listed = {
        (key, name): default
        for key, default, parts in KEY.findall(section)
        for name in re.findall(r"`(\w+)`", parts)
        if not key.endswith(".name")
    }
    assert listed == code
    assert {key for key, _, _ in KEY.findall(section) if key.endswith(".name")} == {f"{s}.name" for s in PARTS}


@pytest.mark.usefixtures("here")
def test_the_python_example(capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = blocks(PAGE, "python")
    names: dict[str, Any] = {}
    exec(compile(source, PAGE, "exec"), names)
    run = names["run"]
    assert isinstance(run, sslkit.Run)
    printed = capsys.readouterr().out.split()
    assert printed == [str(run.folder), str(run.results["headline"]["top1"])]


def test_the_algorithms_defaults_are_below_the_backbones_and_the_data_sets() -> None:
    page = text(PAGE)
    order = "the data set's, else the adapter's, else the backbone's, else the algorithm's, else the ones in the tables"
    assert order in page
    layers = {
        "algorithm": type("A", (), {"defaults": {"semi.lr": 1.0, "semi.clip": 1.0, "semi.mu": 1}}),
        "backbone": type("B", (), {"defaults": {"semi.lr": 2.0, "semi.clip": 2.0}}),
    }
    dataset = type("D", (), {"defaults": {"semi.lr": 3.0}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "load", lambda kind, name: layers[kind])
        config = resolve({"backbone.name": "b"}, dataset, lambda: "b")
    assert (config.semi.lr, config.semi.clip, config.semi.mu) == (3.0, 2.0, 1)
