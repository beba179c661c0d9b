"""Parts are found without being imported; foreign ones fail alone, with their reason."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sslkit import registry
from sslkit.cli import main
from sslkit.errors import UserError
from sslkit.plugins import load_plugin, plugin_hashes
from sslkit.training.sources import source_hash

PLUGINS = Path(__file__).parents[1] / "plugins"
Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretends that distributions with entry points are installed."""
    points: list[Any] = []

    def found(**asked: Any) -> Any:
        return [point for point in points if point.group == asked["group"]]

    def add(kind: str, name: str, value: str, distribution: str = "foreign", summary: str = "A stranger") -> None:
        about = SimpleNamespace(metadata={"Name": distribution, "Version": "1.2", "Summary": summary})
        points.append(EntryPoint(name, value, f"sslkit.{kind}s")._for(about))  # type: ignore[attr-defined]

    monkeypatch.setattr(importlib.metadata, "entry_points", found)
    registry.installed.cache_clear()
    return add


def names(kind: str) -> list[str]:
    return [entry.name for entry in registry.entries(kind)]


def test_built_in_parts_are_the_files() -> None:
    assert names("mixer") == ["mixup", "none", "prob_pseudo", "pseudo", "pseudo_plus"]
    assert names("teacher") == ["ema", "self"]
    assert {"digits", "parquet"} <= set(names("dataset"))
    for kind in registry.KINDS:
        for entry in registry.entries(kind):
            assert entry.description.strip(), f"{kind} {entry.name} says nothing about itself"
            assert entry.origin == "built in"


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_built_in_part_loads_by_its_name(kind: str) -> None:
    for name in names(kind):
        assert isinstance(registry.load(kind, name), type)


def test_entry_point_is_listed_unimported_and_loaded_when_used(install: Install) -> None:
    install("mixer", "foreign_mixer", "sslkit.algorithms.mixers.none:Identity")
    install("mixer", "never", "no_such_module:Thing")
    entry = registry.find("mixer", "foreign_mixer")
    assert (entry.description, entry.origin) == ("A stranger", "foreign 1.2")
    assert "no_such_module" not in sys.modules
    assert registry.load("mixer", "foreign_mixer").__name__ == "Identity"


def test_part_that_fails_to_import_is_one_line_and_others_work(install: Install) -> None:
    install("mixer", "broken", "no_such_module:Thing", "brokenware")
    with pytest.raises(UserError) as caught:
        registry.load("mixer", "broken")
    assert "brokenware 1.2" in str(caught.value)
    assert "ModuleNotFoundError: No module named 'no_such_module'" in str(caught.value)
    assert registry.load("mixer", "none").__name__ == "Identity"


def test_a_part_must_be_of_its_kind(install: Install) -> None:
    install("mixer", "stranger", "collections:OrderedDict")
    with pytest.raises(UserError, match=r"sslkit\.contracts\.Mixer"):
        registry.load("mixer", "stranger")


def test_missing_attribute_of_an_entry_point_is_a_reason(install: Install) -> None:
    install("mixer", "gone", "json:Nothing")
    with pytest.raises(UserError, match="AttributeError"):
        registry.load("mixer", "gone")


def test_two_parts_of_one_name_name_both_origins(install: Install) -> None:
    install("mixer", "none", "json:JSONDecoder", "thief")
    install("mixer", "twice", "json:JSONDecoder", "first")
    install("mixer", "twice", "json:JSONEncoder", "second")
    with pytest.raises(UserError, match=r"'none': built in and thief 1\.2"):
        registry.load("mixer", "none")
    with pytest.raises(UserError, match=r"'twice': first 1\.2 and second 1\.2"):
        registry.load("mixer", "twice")
    assert registry.load("mixer", "pseudo")


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("algorithm", "fixmach", "did you mean 'fixmatch'"),
        ("mixer", "prob_pseud", "'prob_pseudo'"),
        ("teacher", "zzz", "known are ema, self"),
    ],
)
def test_unknown_names_get_suggestions(kind: str, name: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        registry.load(kind, name)
    assert hint in str(caught.value)
    assert f"sslkit list {kind}s" in str(caught.value)


def test_plugin_file_registers_once() -> None:
    load_plugin(PLUGINS / "swap.py")
    load_plugin(PLUGINS / "swap.py")
    assert names("mixer").count("swap") == 1
    entry = registry.find("mixer", "swap")
    assert entry.description == "Every image takes the place of its mirror image in the batch."
    assert "swap.py" in entry.origin
    assert [len(digest) for digest in plugin_hashes().values()] == [64]


def test_a_plugin_file_is_known_by_what_was_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by what it was changed to since, which would be stored as what was not run."""
    file = tmp_path / "part.py"
    text = (PLUGINS / "swap.py").read_text()
    file.write_text(text)
    load_plugin(file)
    known = plugin_hashes(), source_hash(registry.load("mixer", "swap"))
    file.write_text(text + "x = 1\n")
    assert (plugin_hashes(), source_hash(registry.load("mixer", "swap"))) == known
    file.unlink()
    assert (plugin_hashes(), source_hash(registry.load("mixer", "swap"))) == known
    file.write_text(text + "x = 2\n")
    monkeypatch.setattr(registry, "plugins", {})  # as in another process
    load_plugin(file)
    assert plugin_hashes() != known[0]
    assert source_hash(registry.load("mixer", "swap")) != known[1]
    assert sys.modules[registry.load("mixer", "swap").__module__].x == 2, "no byte code of the file as it was"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("nowhere.py", "no plug-in file"),
        ("", "no plug-in file"),
        ("registers_nothing.py", "registers no part"),
        ("raises.py", "RuntimeError: no [/red] camera"),
        ("leaves.py", "leaves.py"),
        ("wrong_kind.py", "did you mean 'mixer'"),
    ],
)
def test_bad_plugin_files_say_why_and_leave_nothing(file: str, reason: str) -> None:
    before = set(sys.modules)
    with pytest.raises(UserError) as caught:
        load_plugin(PLUGINS / file)
    assert reason in str(caught.value)
    assert plugin_hashes() == {}
    assert not {name for name in set(sys.modules) - before if name.startswith("sslkit_plugin")}


def test_plugin_file_must_be_python(tmp_path: Path) -> None:
    file = tmp_path / "part.txt"
    file.write_text((PLUGINS / "swap.py").read_text())
    with pytest.raises(UserError, match=r"must end in \.py"):
        load_plugin(file)


def test_failed_plugin_does_not_keep_the_next_from_registering() -> None:
    with pytest.raises(UserError):
        load_plugin(PLUGINS / "raises.py")
    load_plugin(PLUGINS / "swap.py")
    assert "swap" in names("mixer")


# The command.


def test_list_shows_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["parts"]
    assert {row["kind"] for row in rows} == set(registry.KINDS)
    assert all(set(row) == {"kind", "name", "description", "paper", "origin"} for row in rows)
    papers = {row["name"]: row["paper"] for row in rows if row["kind"] == "algorithm"}
    assert "2001.07685" in papers["fixmatch"]


@pytest.mark.parametrize("kind", ["mixer", "mixers"])
def test_list_of_one_kind(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", kind]) == 0
    out = capsys.readouterr().out
    assert "prob_pseudo" in out
    assert "fixmatch" not in out


def test_list_check_loads_all_and_gives_reasons(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("mixer", "broken", "no_such_module:Thing", "brokenware")
    assert main(["list"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["list", "--check", "--json"]) == 2
    caught = capsys.readouterr()
    problems = {row["name"]: row["problem"] for row in json.loads(caught.out)["parts"] if row["problem"]}
    assert list(problems) == ["broken"]
    assert "No module named 'no_such_module'" in problems["broken"]
    assert caught.err.strip().splitlines() == [caught.err.strip()]


def test_list_escapes_markup(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("mixer", "evil", "json:Nothing", "evil[/red]ware", "[bold]so[/] [/red] evil")
    assert main(["list", "mixers"]) == 0
    assert "[/red]" in capsys.readouterr().out


def test_list_check_counts_both_of_one_name(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("mixer", "none", "json:JSONDecoder", "thief")
    assert main(["list", "mixers", "--check"]) == 2
    assert "2 of 6 parts" in capsys.readouterr().err


def test_listing_and_help_import_no_torch() -> None:
    code = "import sys; from sslkit.cli import main; main(['list']); main(['--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert "fixmatch" in done.stdout
    assert "compare" in done.stdout


def test_help_imports_little() -> None:
    slow = {"rich.console", "importlib.metadata", "sslkit.store", "numpy"}
    code = f"import sys; from sslkit.cli import main; main(['--help']); sys.exit(str({slow} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr == "set()\n"


def test_a_class_that_tells_its_options_alone_has_the_title_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "half.py"
    file.write_text(
        '"""Keeps half of the images.\n\nPaper: Nobody 2026\n"""\nfrom sslkit import register\n'
        "from sslkit.contracts import PseudoLabeler\n\n\n@register('labeler')\nclass Half(PseudoLabeler):\n"
        '    """Options:\n    share: of the images.\n    """\n'
    )
    load_plugin(file)
    (entry,) = (entry for entry in registry.entries("labeler") if entry.name == "half")
    assert (entry.description, entry.paper) == ("Keeps half of the images.", "Nobody 2026")
