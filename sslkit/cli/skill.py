"""The text of `sslkit skill`: `skill.md` with the commands, options and exit codes that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from sslkit.cli.answers import CODES
from sslkit.cli.schema import commands
from sslkit.version import __version__

LISTED = ("run", "compare", "advise", "data", "predict")  # of which options are told; `--help` has the others'
EVERYWHERE = ("as_json", "progress")  # what is told once, in the rules


def skill(root: click.Group) -> str:
    """The file SKILL.md, of this version."""
    known = dict(commands(root))
    told = {
        "version": __version__,
        "codes": "\n".join(f"| {code} | {what} |" for code, what in CODES.items()),
        "commands": "\n".join(f"| `sslkit {name}` | {_about(command)} |" for name, command in known.items()),
        "options": "\n\n".join(_options(known)),
    }
    text = Path(__file__).with_suffix(".md").read_text("utf-8")
    for name, words in told.items():
        text = text.replace(f"{{{{{name}}}}}", words)
    return text


def _about(command: click.Command) -> str:
    return command.get_short_help_str(200).replace("|", r"\|")


def _options(known: Mapping[str, click.Command]) -> Iterator[str]:
    """The options of each of `LISTED`, without those that are told of one before it."""
    before: set[tuple[str, str]] = set()
    for name in LISTED:
        context = click.Context(known[name])
        own = [option for option in known[name].params if isinstance(option, click.Option)]
        records = {option.name: option.get_help_record(context) for option in own if option.name not in EVERYWHERE}
        new = [record for record in records.values() if record is not None and record not in before]
        usage = " ".join(["sslkit", name, *known[name].collect_usage_pieces(context)])
        also = ", and of those above what `--help` tells" if before else ""
        lines = (f"- `{flag}` {' '.join(text.split())}" for flag, text in new)
        yield "\n".join([f"`{usage}`{also}:", "", *lines])
        before |= {*new}
