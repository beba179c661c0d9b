"""JSON Schemas (draft 2020-12) of what `--json` and `--progress json` print, made from the types that declare it."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import click

from sslkit.cli.answers import Failure, answers_of
from sslkit.terminal.told import SCHEMA

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
PLAIN: dict[Any, dict[str, Any]] = {kind: {"type": name} for kind, name in NAMES.items()} | {Any: {}}


def published(root: click.Group) -> dict[str, dict[str, Any]]:
    """Schemas by command, as "runs ls", of all that have `--json`; and that of the lines of progress, "progress"."""
    from sslkit.terminal.events import Event

    kinds = {name: answers_of(command) for name, command in commands(root)}
    made = {name: _whole(name, kind) for name, kind in kinds.items() if kind is not None}
    title = "a line of standard error by --progress json"
    return made | {"progress": {"$schema": DRAFT, "$id": _id("progress"), "title": title, **schema(Event)}}


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """The name of every command, with those of the groups that it is in, and the command."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        elif command is not None:
            yield f"{before}{name}", command


def _whole(command: str, kind: Any) -> dict[str, Any]:
    """Of a command: its answers, and what stands in their place where it fails."""
    several = [*_members(kind), Failure]
    also = {
        "schema": {"const": SCHEMA, "description": "version of all schemas together"},
        "notes": {"type": "array", "items": {"type": "string"}, "description": "what was said beside the answer"},
    }
    made = []
    for one in map(schema, several):
        one["properties"] = also | {name: inner for name, inner in one["properties"].items() if name not in also}
        one["required"] = list(dict.fromkeys([*also, *one["required"]]))
        made.append(one)
    return {"$schema": DRAFT, "$id": _id(command), "title": f"sslkit {command} --json", "anyOf": made}


def _id(name: str) -> str:
    return f"urn:sslkit:{SCHEMA}:{name.replace(' ', '-')}"


def schema(kind: Any) -> dict[str, Any]:
    """The schema of a type of JSON values: TypedDict, list, dict, Literal, unions, and what has a name in JSON.

    A TypedDict has no other keys than it says. `Annotated` brings the description.
    """
    origin, inner = get_origin(kind), get_args(kind)
    made: dict[Any, Callable[[], dict[str, Any]]] = {
        Annotated: lambda: schema(inner[0]) | {"description": inner[1]},
        Literal: lambda: {"enum": [*inner]},
        list: lambda: {"type": "array", "items": schema(inner[0])},
        dict: lambda: {"type": "object", "additionalProperties": schema(inner[1])},
        Union: lambda: {"anyOf": [schema(one) for one in inner]},
        types.UnionType: lambda: {"anyOf": [schema(one) for one in inner]},
    }
    if origin in made:
        return made[origin]()
    return _object(kind) if is_typeddict(kind) else dict(PLAIN[kind])


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _object(kind: Any) -> dict[str, Any]:
    """Of a TypedDict; which keys may be missing is read from the hints, where annotations are text."""
    hints = get_type_hints(kind, include_extras=True)
    free = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    plain = {name: get_args(hint)[0] if name in free else hint for name, hint in hints.items()}
    return {
        "type": "object",
        "title": kind.__name__,
        "description": " ".join((kind.__doc__ or "").split()),
        "properties": {name: schema(hint) for name, hint in plain.items()},
        "required": [name for name in hints if name not in free],
        "additionalProperties": False,
    }
