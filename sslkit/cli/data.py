"""`sslkit data`: what would be read, before anything is trained. Imports nothing heavy before it is needed."""

from __future__ import annotations

import json
from typing import Any

import click

from sslkit.cli.options import DATA_KEYS, as_json, data_options, plugins, with_bars
from sslkit.terminal import show


@click.command("data", short_help="Look at images before training: counts, damage, duplicates.")
@click.argument("data", metavar="DIR|NAME[:ARG]")
@data_options
@click.option("--seed", type=int, help="Random seed of the labelled images.  [default: 0]")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any key, as --set data.test=0.3.")
@plugins
@as_json
@with_bars
def data_command(data: str, seed: int | None, sets: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Look at data before training: classes, counts, sizes, bad files, duplicates. Every image is decoded once.

    DIR is a folder of images or of parquet files, or a CSV file; else the name of a data set, as for `sslkit run`.
    """
    from rich.console import Console

    from sslkit.config.resolve import parse_set
    from sslkit.look.data import data_report, named_data, tables

    request = dict(map(parse_set, sets)) | {DATA_KEYS[k]: v for k, v in flags.items() if v is not None}
    request |= {"data.name": named_data(data)} | ({} if seed is None else {"seed": seed})
    found = data_report(request)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    show(Console(emoji=False), tables(found))
