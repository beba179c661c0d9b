"""`sslkit skill`: its form, that every command line in it is one, and that the study in it runs on digits."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]

from sslkit import registry
from sslkit.cli import cli
from sslkit.cli.answers import CODES, answers_of
from sslkit.cli.schema import commands, published
from sslkit.cli.skill import LISTED
from tests.cli.call import TINY, sslkit
from tests.datasets.make import pictures


@pytest.fixture(scope="module")
def text() -> str:
    call = sslkit("skill")
    assert call.code == 0
    return call.out


def lines(text: str) -> list[list[str]]:
    """The command lines of the blocks, without their first word."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    found = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert all(words[0] == "sslkit" for words in found)
    return [words[1:] for words in found]


def parsed(words: list[str], group: click.Group = cli, parent: click.Context | None = None) -> None:
    """Parse a command line as click does, and run nothing."""
    context = group.make_context("sslkit", [*words], parent=parent, resilient_parsing=False)
    name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None
    if isinstance(command, click.Group):
        parsed(rest, command, context)
    else:
        command.make_context(name, rest, parent=context)


def test_the_head_is_as_the_format_has_it(text: str) -> None:
    _, head, _ = text.split("---\n", 2)
    told = yaml.safe_load(head)
    assert told["name"] == "sslkit"
    assert 0 < len(told["description"]) <= 1024
    assert "Use when" in told["description"]
    assert len(told["compatibility"]) <= 500
    assert {*told} <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
    assert "{{" not in text
    assert len(text.splitlines()) < 500


def test_every_command_line_parses(text: str) -> None:
    found = lines(text)
    assert len(found) > 12
    for words in found:
        parsed(words)
    with pytest.raises(click.NoSuchOption):
        parsed(["run", "--nope"])
    asked = {name for name, command in commands(cli) if answers_of(command) is not None}
    told = [words for words in found if " ".join(words[:2]) in asked or words[0] in asked]
    assert all("--json" in words for words in told)


def test_all_commands_options_and_codes_are_told(text: str) -> None:
    known = dict(commands(cli))
    assert all(f"`sslkit {name}`" in text for name in known)
    for name in LISTED:
        flags = {flag for option in known[name].params if isinstance(option, click.Option) for flag in option.opts}
        assert not [flag for flag in flags if flag not in text]
    assert all(f"| {code} | {what} |" in text for code, what in CODES.items())


def test_keys_that_it_names_are_those_of_the_schemas(text: str) -> None:
    prose = re.sub(r"```sh\n.*?```", "", text.partition("## Commands")[0], flags=re.DOTALL)
    words = set(re.findall(r"`([a-z_]+(?:\.[a-z_0-9]+)?)`", prose))
    known = {key for schema in published(cli).values() for key in _keys(schema)}
    known |= {entry.name for entry in registry.entries("dataset")}
    others = {"best", "finetune", "finetune+", "better", "worse", "equivalent", "compare", "table", "event"}
    others |= {"plan", "stage_begun", "step", "stage_ended", "note"}
    assert {word for word in words if word.split(".")[-1] not in known} <= others


def _keys(schema: Any) -> set[str]:
    found = {*schema.get("properties", {})}
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema[key] for key in ("items", "additionalProperties") if schema.get(key)]
    return found.union(*map(_keys, inner)) if inner else found


def test_the_study_runs(text: str) -> None:
    """The commands in their order, with few steps; the answers lead from one to the next."""
    small = [*TINY[9:], "--set=precision=fp32", "--backbone", "vit_micro"]
    folder = ""
    for line in lines(text):
        words = ["2" if before == "--seeds" else word for before, word in pairwise(["", *line])]
        words += small if line[0] in ("run", "compare", "advise") else []
        if line[0] == "predict":
            pictures(Path(), ["photos/a.png", "photos/b.png"])
        call = sslkit(*(folder if word == "runs/RUN" else word for word in words))
        assert call.code == 0, (words, call.err)
        if line[0] == "run" and "--show-config" not in line:
            folder = f"runs/{json.loads(call.out)['run']}"
    assert folder


def test_it_is_written_where_it_is_wanted(text: str, tmp_path: Path) -> None:
    file = tmp_path / "skills" / "sslkit" / "SKILL.md"
    for _ in range(2):
        assert sslkit("skill", "--out", file).code == 0
        assert file.read_text("utf-8") == text
