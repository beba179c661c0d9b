"""Options that several commands have. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sslkit.plugins import load_plugin

F = TypeVar("F", bound=Callable[..., Any])

store = click.option("--runs", default="runs", show_default=True, metavar="DIR", help="Where results are stored.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, nothing else.")


def _plugin_option(**how: Any) -> Callable[[F], F]:
    return click.option("--plugin", "plugins", multiple=True, metavar="FILE.py", help="Load parts from a file.", **how)


def _load(_: click.Context, __: click.Parameter, files: tuple[str, ...]) -> None:
    for file in files:
        load_plugin(file)


plugins = _plugin_option(callback=_load, expose_value=False)  # loaded before the command begins
plugin_files = _plugin_option()  # for a command that hands them on

# option -> configuration key
DATA_KEYS = {
    "data_dir": "data.dir",
    "download": "data.download",
    "labels": "data.labels",
    "pool": "data.pool",
    "val": "data.val",
    "tune": "data.tune",
    "size": "data.size",
    "on_bad_image": "data.on_bad_image",
    "duplicates": "data.duplicates",
}
DATA_OPTIONS = (
    click.option("--data-dir", metavar="DIR", help="Folder that holds the data set, as for imagenet."),
    click.option("--download", is_flag=True, default=None, help="Fetch what of the data set is not there."),
    click.option(
        "--labels",
        metavar="N/class|N|N%|all",
        help="Labelled images.  [default: 10/class; of one's own data with unlabelled images, all]",
    ),
    click.option(
        "--pool", metavar="complement|all", help="Are labelled images in the pool, too?  [default: complement]"
    ),
    click.option("--val", type=float, metavar="SHARE", help="Share of the labelled images to validate on."),
    click.option("--tune", is_flag=True, default=None, help="Hide the real test, to choose settings (seeds from 100)."),
    click.option("--size", type=int, metavar="PX", help="Side of the images.  [default: their median, at most 224]"),
    click.option("--on-bad-image", metavar="stop|skip", help="At an image that cannot be read.  [default: stop]"),
    click.option(
        "--remove-duplicates", "duplicates", flag_value="drop", help="Train without images that are also in the test."
    ),
)


def data_options(command: F) -> F:
    """The command with the options that say which images there are, in their order."""
    for option in reversed(DATA_OPTIONS):
        command = option(command)
    return command
