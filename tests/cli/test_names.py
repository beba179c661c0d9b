"""The names that people write in scripts: options, configuration keys, keys of JSON. All stand in `names.txt`.

That what is printed has these keys is for `test_json.py`.

A change of one is a deliberate edit of that file: `python -m tests.cli.test_names` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from sslkit import registry
from sslkit.cli import cli
from sslkit.cli.schema import published
from sslkit.config import PARTS, Config, Part, flatten
from sslkit.config.resolve import options

FILE = Path(__file__).with_name("names.txt")


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
    for command, schema in published(cli).items():
        yield from dict.fromkeys(f"json {command}: {path}" for path in _paths(schema))


def _paths(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The keys of JSON values with those above them; `[]` is each element of a list, `*` a name that is free."""
    for one in schema.get("anyOf", ()):
        yield from _paths(one, path)
    for key, inner in schema.get("properties", {}).items():
        here = f"{path}.{key}".removeprefix(".")
        yield here
        yield from _paths(inner, here)
    yield from _paths(schema.get("items", {}), f"{path}[]") if "items" in schema else ()
    yield from _paths(schema["additionalProperties"], f"{path}.*") if schema.get("additionalProperties") else ()


def test_no_name_changes_by_accident() -> None:
    now, kept = names(), FILE.read_text("utf-8").splitlines()
    gone, new = sorted({*kept} - {*now}), sorted({*now} - {*kept})
    assert (gone, new) == ([], []), "see the head of this file"


def test_names_of_all_kinds_are_found() -> None:
    some = {"option sslkit run --algo", "key semi.lr", "key labeler.tau of threshold", "json run: headline.top1"}
    assert some | {"option sslkit runs rm --yes", "json table: rows[].top1", "json progress: images_per_s"} <= {
        *FILE.read_text("utf-8").splitlines()
    }


if __name__ == "__main__":
    FILE.write_text("\n".join(names()) + "\n", "utf-8")
