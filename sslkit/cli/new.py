"""`sslkit new`: a small package with a part of one's own. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

import click

from sslkit.cli.answers import answer, as_json
from sslkit.cli.documents import NewAnswer


@click.command("new", short_help="Write a small package with a part of your own.")
@click.argument("kind")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Its folder, which must not exist.  [default: ./NAME]")
@as_json(NewAnswer)
def new_command(kind: str, name: str, out: Path | None, as_json: bool) -> None:
    """Write a package with one part that runs: its module, its test, and the entry point by which it is listed.

    KIND is algorithm, teacher, labeler, mixer, backbone, adapter, dataset or reader; NAME is the part's, as my_mixer.
    """
    from sslkit.templates import new

    folder = out or Path(name)
    files, check = new(kind, name, folder), f"sslkit check --plugin {folder / name}.py {name}"
    if as_json:
        answer({"files": [*map(str, files)], "check": check})
        return
    for file in files:
        click.echo(file)
    click.echo(f"try it:      {check}")
    click.echo(f"install it:  pip install -e {folder}, then sslkit list {kind.removesuffix('s')}s")
