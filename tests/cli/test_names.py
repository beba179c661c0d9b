"""The names that people write in scripts: options, configuration keys, keys of `--json`. All stand in `names.txt`.

A change of one is a deliberate edit of that file: `python -m tests.cli.test_names` writes it anew.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from sslkit import registry
from sslkit.cli import cli
from sslkit.config import PARTS, Config, Part, flatten
from sslkit.config.resolve import options
from tests.cli.call import sslkit
from tests.kept.make import FINISHED

FILE = Path(__file__).with_name("names.txt")
STORE = Path(__file__).parents[1] / "kept" / "rooms.tar.xz"
# where the keys are names of classes, stages, rows, parts, files or configuration keys
FREE = {
    *("run config", "run gains", "run machine.steps", "run stages[].networks", "run stages[].losses"),
    *("show-config ", "diff configuration", "diff results", "ls runs[].stages", "data modes", "data formats"),
    *(
        "table comparison.arms",
        "table comparison.arms.*",
        "table comparison.conditions",
        "table comparison.conditions.*",
    ),
    *("table comparison.requests", "table comparison.requests.*", "table comparison.requests.*.*"),
    *("table comparison.machine", "table labeled", "table costs", "table costs.*"),
    *("table differences", "table differences.*", "table differences.*.*"),
}


def names() -> list[str]:
    return [*_options(cli, "sslkit"), *_keys(), *_json()]


def _options(command: click.Command, path: str) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield from (f"option {path} {word}" for word in (*parameter.opts, *parameter.secondary_opts))
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _options(inner, f"{path} {name}")


def _keys() -> Iterator[str]:
    none = Config(Part(""), Part(""))
    yield from (f"key {name}" for name in flatten(none) if not name.endswith(".name") or name == "data.name")
    for section, kind in PARTS.items():
        yield f"key {section}.name"
        for entry in registry.entries(kind):
            own = options(registry.load_entry(entry))
            yield from (f"key {section}.{name} of {entry.name}" for name in own)


def _json() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            with tarfile.open(STORE) as archive:
                archive.extractall(folder, filter="data")
            run = next(f.parent for f in Path("runs").glob("*/config.toml") if "val = 0.25" in f.read_text("utf-8"))
            other = next(Path("runs").glob("folder-fixmatch-*"))
            calls: dict[str, tuple[object, ...]] = {
                "run": ("show", run),
                "show-config": (*FINISHED, "--show-config"),
                "data": ("data", "photos", "--val", "0.2"),
                "audit": ("audit", run, "--out", "audit", "--plugin", "tiny.py"),
                "map": ("map", run, "--out", "map.html", "--plugin", "tiny.py"),
                "predict": ("predict", run, "photos/test", "--plugin", "tiny.py"),
                "ls": ("runs", "ls"),
                "diff": ("runs", "diff", run.name, other.name),
                "table": ("table",),
                "list parts": ("list", "mixers"),
                "list recipes": ("list", "recipes"),
                "list studies": ("list", "studies"),
            }
            for name, arguments in calls.items():
                called = sslkit(*arguments, "--json")
                assert called.code == 0, called.err
                yield from dict.fromkeys(f"json {path}" for path in _paths(called.json, f"{name} "))
        finally:
            os.chdir(before)


def _paths(value: Any, path: str) -> Iterator[str]:
    """The keys of a JSON value with those above them; `[]` is each element of a list, `*` a name that is free."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            here = f"{path}{'' if path.endswith(' ') else '.'}{'*' if path in FREE else key}"
            yield here
            yield from _paths(inner, here)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, f"{path}[]")


def test_no_name_changes_by_accident() -> None:
    now, kept = names(), FILE.read_text("utf-8").splitlines()
    gone, new = sorted({*kept} - {*now}), sorted({*now} - {*kept})
    assert (gone, new) == ([], []), "see the head of this file"


def test_names_of_all_kinds_are_found() -> None:
    some = {"option sslkit run --algo", "key semi.lr", "key labeler.tau of threshold", "json run headline.top1"}
    assert some | {"option sslkit runs rm --yes", "json table rows[].top1"} <= {*FILE.read_text("utf-8").splitlines()}


if __name__ == "__main__":
    FILE.write_text("\n".join(names()) + "\n", "utf-8")
