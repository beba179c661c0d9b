"""`sslkit schema` and `sslkit skill`: what programs, and assistants that run them, need to know."""

from __future__ import annotations

import json
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from sslkit.errors import unknown


def _names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from sslkit.cli.schema import published

    return [CompletionItem(name) for name in published(_root(context)) if name.startswith(incomplete)]


@click.command("schema", short_help="JSON Schemas of what --json and --progress json print.")
@click.argument("command", nargs=-1, shell_complete=_names)
@click.pass_context
def schema_command(context: click.Context, command: tuple[str, ...]) -> None:
    """Print the JSON Schema (draft 2020-12) of a COMMAND's answer by --json, as of `run` or `runs ls`.

    That of the lines of --progress json is called progress. Without COMMAND it is one object with all of them by name.
    """
    from sslkit.cli.schema import published

    name, made = " ".join(command), published(_root(context))
    if name and name not in made:
        raise unknown("command with --json", name, made, "sslkit schema")
    click.echo(json.dumps(made[name] if name else made, indent=1))


@click.command("skill", short_help="A SKILL.md by which an assistant can run a study.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write to this file, not to the screen.")
@click.pass_context
def skill_command(context: click.Context, out: Path | None) -> None:
    """Print instructions for assistants, with all commands and options of this version, as a SKILL.md.

    Save it as sslkit/SKILL.md in the folder where your assistant looks for skills; it is written over.
    """
    from sslkit.cli.skill import skill
    from sslkit.store.files import write_text

    text = skill(_root(context))
    if out is None:
        click.echo(text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)
    click.echo(out)


def _root(context: click.Context) -> click.Group:
    root = context.find_root().command
    assert isinstance(root, click.Group)
    return root
