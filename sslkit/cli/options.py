"""Options that several commands have. Imports nothing heavy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from sslkit.cli.completion import parts
from sslkit.plugins import load_plugin
from sslkit.terminal.told import PROGRESS, Progress, show_progress

F = TypeVar("F", bound=Callable[..., Any])


class ShareOrFolder(click.ParamType):  # type: ignore[type-arg]
    """A number as such, and other text as it is."""

    name = "text"

    def convert(self, value: Any, _: click.Parameter | None, __: click.Context | None) -> int | float | str:
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
        return str(value)


store = click.option("--runs", default="runs", show_default=True, metavar="DIR", help="Where results are stored.")
track = click.option(
    "--track",
    multiple=True,
    metavar="LIST",
    callback=lambda _, __, names: ",".join(names) or None,
    help="Trackers to tell of it: tensorboard, mlflow, wandb, trackio; `sslkit list trackers`.",
)


def part(flag: str, kind: str, text: str, metavar: str = "NAME") -> Callable[[F], F]:
    """An option that names a part of a kind; a shell completes it."""
    return click.option(flag, metavar=metavar, shell_complete=parts(kind), help=text)


def _shown(_: click.Context, __: click.Parameter, how: Progress) -> None:
    show_progress(how)


progress = click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default="bar",
    show_default=True,
    expose_value=False,
    callback=_shown,
    is_eager=True,
    help="On standard error: bars, JSON lines alone, or sentences alone.",
)


def with_bars(command: F) -> F:
    """A command that shows a bar while every image is looked at, and the option `--progress`."""

    @functools.wraps(command)
    def watched(*arguments: Any, **named: Any) -> Any:
        from rich.console import Console

        from sslkit.terminal.progress import bars

        with bars(Console(stderr=True, emoji=False)):
            return command(*arguments, **named)

    return progress(watched)  # type: ignore[return-value]


def _plugin_option(**how: Any) -> Callable[[F], F]:
    return click.option("--plugin", "plugins", multiple=True, metavar="FILE.py", help="Load parts from a file.", **how)


def _load(context: click.Context, _: click.Parameter, files: tuple[str, ...]) -> None:
    for file in () if context.resilient_parsing else files:  # as while a shell completes a word
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
    "imbalance": "data.imbalance",
    "open_set": "data.open_set",
    "multilabel": "data.multilabel",
    "tune": "data.tune",
    "size": "data.size",
    "on_bad_image": "data.on_bad_image",
    "duplicates": "data.duplicates",
}
DATA_OPTIONS = (
    click.option("--data-dir", metavar="DIR", help="Folder of a data set that has a name, such as imagenet."),
    click.option("--download", is_flag=True, default=None, help="Download what is missing of the data set."),
    click.option(
        "--labels",
        metavar="N/class|N|N%|all",
        help="How many labels are used.  [default: 10/class; all, if your data has images without a label]",
    ),
    click.option(
        "--pool",
        metavar="complement|all",
        help="Unlabelled images without or with the labelled.  [default: complement]",
    ),
    click.option(
        "--val",
        type=ShareOrFolder(),
        metavar="SHARE|FOLDER",
        help="Share of the labelled images held out for validation, or the folder of validation images.",
    ),
    click.option(
        "--imbalance",
        metavar="GAMMA[:GAMMA_U]",
        help="Long tails: the first class has GAMMA times as many labels, GAMMA_U times the pool images, of the last.",
    ),
    click.option("--open-set", metavar="K|NAMES", help="Classes that only the pool has: the last K, or by name."),
    click.option("--multilabel", is_flag=True, default=None, help="An image may have several labels, or none."),
    click.option(
        "--tune",
        is_flag=True,
        default=None,
        help="Score on held-out training images: to choose settings.",
    ),
    click.option(
        "--size", type=int, metavar="PX", help="Input resolution.  [default: the images' median, at most 224]"
    ),
    click.option("--on-bad-image", metavar="stop|skip", help="At an image that cannot be read.  [default: stop]"),
    click.option(
        "--remove-duplicates", "duplicates", flag_value="drop", help="Train without exact duplicates of test images."
    ),
)


def data_options(command: F) -> F:
    """The command with the options that say which images there are, in their order."""
    for option in reversed(DATA_OPTIONS):
        command = option(command)
    return command
