"""`sslkit data`: what would be read, before anything is trained. Imports nothing heavy before it is needed."""

from __future__ import annotations

from typing import Any

import click

from sslkit.cli.answers import answer, as_json
from sslkit.cli.completion import parts
from sslkit.cli.documents import DataAnswer
from sslkit.cli.options import DATA_KEYS, data_options, plugins, with_bars
from sslkit.terminal import show


@click.command("data", short_help="Look at images before training: counts, damage, duplicates.")
@click.argument("data", metavar="DIR|NAME[:ARG]", shell_complete=parts("dataset"))
@data_options
@click.option("--seed", type=int, help="Random seed of the labelled images.  [default: 0]")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any key, as --set data.test=0.3.")
@plugins
@as_json(DataAnswer)
@with_bars
def data_command(data: str, seed: int | None, sets: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Look at data before training: classes, counts, sizes, bad files, duplicates. Every image is decoded once.

    DIR is a folder of images or of parquet files, or a CSV file; else the name of a data set, as for `sslkit run`.
    """
    from rich.console import Console

    from sslkit.config.resolve import parse_set
    from sslkit.look.data import data_report, named_data, notes, tables

    request = dict(map(parse_set, sets)) | {DATA_KEYS[k]: v for k, v in flags.items() if v is not None}
    request |= {"data.name": named_data(data)} | ({} if seed is None else {"seed": seed})
    found = data_report(request)
    if as_json:
        answer(found | {"notes": [*found["remarks"], *notes(found)]})
        return
    show(Console(emoji=False), tables(found))
