"""The code of docs/plugins.md is executed: every part by the command that the page gives."""

import importlib.metadata
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from sslkit import adapter, contracts, data, network, reader, registry, tracker
from sslkit.cli import main
from tests.conftest import real

from .page import blocks, brief, commands, text

PAGE = "docs/plugins.md"
SOURCES = {source.partition("\n")[0].removeprefix("# "): source for source in blocks(PAGE, "python")}
BASES = {
    "teacher": contracts.Teacher,
    "labeler": contracts.PseudoLabeler,
    "mixer": contracts.Mixer,
    "algorithm": contracts.Algorithm,
    "pretrainer": contracts.Algorithm,
    "backbone": network.Classifier,
    "adapter": adapter.Adapter,
    "dataset": data.Dataset,
    "reader": reader.Reader,
    "tracker": tracker.Tracker,
}


def test_every_file_has_a_command() -> None:
    given = [command[command.index("--plugin") + 1] for command in commands(PAGE)]
    assert given == list(SOURCES)


@pytest.mark.parametrize("command", commands(PAGE), ids=lambda command: command[command.index("--plugin") + 1])
def test_a_part_of_the_page_runs(command: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = command[command.index("--plugin") + 1]
    (here / file).write_text(SOURCES[file], "utf-8")
    plates(here)
    assert main([*brief(command), "--no-control", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    named = [value for key, value in results["config"].items() if key.endswith(".name") or key == "track"]
    assert Path(file).stem in named or "folder:plates" in named
    assert [row["stage"] for row in results["stages"]] == ["finetune", "semi"]
    (entries,) = registry.plugins.values()
    (entry,) = entries
    assert issubclass(entry.load(), BASES[entry.kind])
    assert entry.description


def plates(here: Path) -> None:
    """The files that the reader of the page reads."""
    for i in range(12):
        file = here / f"plates/{'even' if i % 2 else 'odd'}/{i}.raw12"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"RAW12" + np.random.default_rng(i).integers(0, 4096, (8, 8)).astype("<u2").tobytes())


def test_the_table_names_kinds_base_classes_and_what_they_have() -> None:
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \| `[^|]+` \| ([^|]+) \| ([^|]+) \|$", text(PAGE), re.MULTILINE)
    assert {kind: base for kind, base, _, _ in rows} == {kind: base.__name__ for kind, base in BASES.items()}
    assert set(BASES) == set(registry.KINDS)
    for kind, _, written, overridden in rows:
        names = re.findall(r"`(\w+)`", written)
        assert BASES[kind].__abstractmethods__ <= set(names)
        annotated = {name for cls in BASES[kind].__mro__ for name in getattr(cls, "__annotations__", {})}
        for name in [*names, *re.findall(r"`(\w+)`", overridden)]:
            assert hasattr(BASES[kind], name) or name in annotated, f"{kind}: {name}"


def test_a_package_with_the_pages_entry_point(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block = blocks(PAGE, "toml")[0]
    project = tomllib.loads(block)["project"]
    about = here / "sslkit_pairs-1.0.dist-info"
    about.mkdir()
    lines = [f"Name: {project['name']}", f"Version: {project['version']}", f"Summary: {project['description']}"]
    (about / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]), "utf-8")
    points = [f"[{group}]\n{n} = {v}\n" for group, ps in project["entry-points"].items() for n, v in ps.items()]
    (about / "entry_points.txt").write_text("".join(points), "utf-8")
    (here / "pairs.py").write_text('raise RuntimeError("imported")\n', "utf-8")
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setattr(importlib.metadata, "entry_points", real)
    assert main(["list", "mixers", "--json"]) == 0, "listing imports nothing"
    listed = {part["name"]: part for part in json.loads(capsys.readouterr().out)["parts"]}
    assert listed["pairs"]["description"] == project["description"]
    assert listed["pairs"]["origin"] == "sslkit-pairs 1.0"
    (here / "pairs.py").write_text(SOURCES["pairs.py"], "utf-8")
    assert registry.load("mixer", "pairs").__name__ == "Pairs"
    groups = set(re.findall(r"`(sslkit\.\w+s)`", text(PAGE)))
    assert {f"sslkit.{kind}s" for kind in registry.KINDS} | {"sslkit.studies"} == groups
