"""`sslkit new`: a small package with a part of one's own. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("new", short_help="Write a small package with a part of your own.")
@click.argument("kind")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Its folder, which must not exist.  [default: ./NAME]")
def new_command(kind: str, name: str, out: Path | None) -> None:
    """Write a package with one part that runs: its module, its test, and the entry point by which it is listed.

    KIND is algorithm, teacher, labeler, mixer, backbone, adapter, dataset or reader; NAME is the part's, as my_mixer.
    """
    from sslkit.templates import new

    folder = out or Path(name)
    for file in new(kind, name, folder):
        click.echo(file)
    click.echo(f"try it:      sslkit check --plugin {folder / name}.py {name}")
    click.echo(f"install it:  pip install -e {folder}, then sslkit list {kind.removesuffix('s')}s")
