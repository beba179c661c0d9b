"""`sslkit advise`: which method, judged on the labels that there are. Imports nothing heavy before it is needed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from sslkit.cli.answers import answer, as_json
from sslkit.cli.completion import parts
from sslkit.cli.options import DATA_KEYS, data_options, part, plugin_files, progress, store
from sslkit.errors import UserError
from sslkit.harness.commands.documents import AdviceAnswer
from sslkit.terminal import show

# what advise decides itself: a key that begins so is refused
OWN = ("algo.name", "stages", "time", "control", "pretrain", "pretrainer")


@click.command("advise", short_help="Which method for your labels, how good it is, and whether more would help.")
@click.argument("data", metavar="DIR|NAME[:ARG]", shell_complete=parts("dataset"))
@click.option("--time", "limit", default="10m", show_default=True, metavar="10m|2h", help="Time for all, about.")
@data_options
@part("--backbone", "backbone", "Network.  [default: as of `sslkit run`]")
@click.option(
    "--weights", metavar="FILE|RUN|imagenet|timm|none", help="What it starts from.  [default: as of `sslkit run`]"
)
@click.option("--seed", type=int, help="Random seed: labelled images, folds, training.  [default: 0]")
@click.option("--threads", type=int, help="CPU threads.  [default: cores, at most 8]")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any key, as --set data.test=0.3.")
@plugin_files
@store
@click.option("--out", metavar="FILE.json", help="Also write all numbers; never overwritten.")
@progress
@as_json(AdviceAnswer)
def advise_command(
    data: str,
    limit: str,
    sets: tuple[str, ...],
    plugins: tuple[str, ...],
    runs: str,
    out: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Judge methods from the fastest to the slowest, each on labelled images that it was not fitted to.

    knn and linear are fitted to features of a network that stays as it is, label_spreading also to the images without
    a label; finetune and semi are trained. The test part is not looked at. It ends with the method to use, its command,
    its accuracy with an interval, what twice the labels would bring, and whether images without a label help.
    """
    from rich.console import Console
    from rich.text import Text

    began = time.perf_counter()
    from sslkit.config.duration import in_seconds
    from sslkit.config.resolve import parse_set
    from sslkit.harness.advise import advise
    from sslkit.harness.advise.words import tables
    from sslkit.look.data import named_data

    keys = DATA_KEYS | {"backbone": "backbone.name", "weights": "weights", "seed": "seed", "threads": "threads"}
    request = {"data.name": named_data(data)} | {keys[k]: v for k, v in flags.items() if v is not None}
    request |= dict(map(parse_set, sets))
    for key in request:
        if key == "algo" or any(key == own or key.startswith(f"{own}.") for own in OWN):
            raise UserError(f"advise decides {key} itself; drop it")
    if out is not None and Path(out).exists():
        raise UserError(f"{out} is there already; name another file")
    until = began + float(in_seconds({"time": limit})["time"])
    report = advise(request, plugins, runs, until, Console(stderr=True, emoji=False))
    if out is not None:
        Path(out).write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    if as_json:
        said = (part.plain.strip() for part in tables(report) if isinstance(part, Text))
        answer(report | {"notes": [*said]})
    else:
        show(Console(emoji=False), tables(report))
