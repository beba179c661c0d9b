"""The command line. Imports nothing heavy before a command needs it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from sslkit.cli.answers import CODES, answer, as_json, begin, fail, say_of_drives
from sslkit.cli.completion import recipes, runs
from sslkit.cli.documents import ConfigAnswer, OutAnswer
from sslkit.cli.group import Commands
from sslkit.cli.options import DATA_KEYS, data_options, part, plugin_files, plugins, progress, store, track, with_bars
from sslkit.cli.run_answer import RunAnswer
from sslkit.errors import Stopped, UserError, one_line
from sslkit.terminal import say, show
from sslkit.terminal.told import remark
from sslkit.version import __version__

LONGEST = 200  # letters of what is said of a command line

# flag -> configuration key
KEYS = {
    "algo": "algo.name",
    "teacher": "teacher.name",
    "labeler": "labeler.name",
    "mixer": "mixer.name",
    "backbone": "backbone.name",
    "adapt": "adapt.name",
    "data": "data.name",
    **DATA_KEYS,
    "cache_gb": "data.cache_gb",
    "workers": "data.workers",
    "stages": "stages",
    "weights": "weights",
    "weights_container": "weights_container",
    "weights_partial": "weights_partial",
    "pretrain": "pretrain",
    "pretrainer": "pretrainer.name",
    "control": "control.run",
    "time": "time",
    "seed": "seed",
    "grad_checkpoint": "grad_checkpoint",
    "compile": "compile",
    "fsdp": "fsdp",
    "device": "device",
    "precision": "precision",
    "threads": "threads",
    "track": "track",
}


CODES_SAID = "Exit codes: " + "; ".join(f"{code} {what}" for code, what in CODES.items()) + "."


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=CODES_SAID,
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="sslkit")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Semi-supervised image classification: few labels, many images."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        return
    if "SLURM_STEP_ID" in os.environ:  # before torch: no stack of its own where task 0, which all ask, was killed
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if ctx.invoked_subcommand != "run" and not os.environ.keys().isdisjoint(("WORLD_SIZE", "SLURM_STEP_ID")):
        from sslkit.machine.launch import check_alone  # brings torch

        check_alone(ctx.invoked_subcommand or "")


@cli.command("run", short_help="Train: fine-tune on the labels, then semi-supervised on all.")
@part("--algo", "algorithm", "Algorithm.  [default: ema_teacher]")
@part("--teacher", "teacher", "Network that makes the pseudo-labels.  [default: the algorithm's]")
@part("--labeler", "labeler", "Selects and weighs pseudo-labels.  [default: the algorithm's]")
@part("--mixer", "mixer", "Mixup or CutMix of unlabelled images.  [default: the algorithm's]")
@part("--backbone", "backbone", "Network; auto chooses by the image size.  [default: auto]")
@part("--adapt", "adapter", "What of the network trains: lora, head, norm, bias, …  [default: full]")
@part("--data", "dataset", "Data set; folder:DIR for images of your own.  [default: digits]", "NAME[:ARG]")
@data_options
@click.option(
    "--cache-gb",
    type=float,
    metavar="GB",
    help="Larger data is decoded batch by batch.  [default: half the memory]",
)
@click.option("--workers", type=int, help="Threads that decode images.  [default: cores]")
@click.option(
    "--stages",
    metavar="LIST",
    help="Stages to run, of pretrain, probe, finetune, semi.  [default: finetune,semi; from weights probe first]",
)
@click.option("--weights", metavar="FILE|RUN|imagenet|timm|none", help="Weights that the first stage starts from.")
@click.option("--weights-container", metavar="NAME", help="The set to take of a file with several, as ema.")
@click.option("--weights-partial", is_flag=True, default=None, help="What the file lacks stays as it starts.")
@click.option("--pretrain", metavar="mae|supervised:DATA", help="Pre-train first, by masked patches or on DATA.")
@part("--pretrainer", "pretrainer", "Self-supervised method of the stage pretrain.  [default: mae]")
@click.option(
    "--control/--no-control",
    default=None,
    help="Also train finetune+, as many steps, labels only.",
)
@click.option("--time", metavar="2h|90m|45s", help="Time for the whole run, about; sets the steps.")
@click.option("--seed", type=int, help="Random seed: labelled images, weights, order, views.  [default: 0]")
@click.option("--grad-checkpoint", is_flag=True, default=None, help="Less memory: recompute blocks for the gradient.")
@click.option("--compile", is_flag=True, default=None, help="Networks by torch.compile; needs a compiler.")
@click.option(
    "--fsdp", is_flag=True, default=None, help="With torchrun or srun: each process keeps a shard of the weights."
)
@click.option("--device", metavar="auto|cpu|cuda|mps", help="[default: auto]")
@click.option("--precision", metavar="auto|fp32|bf16", help="[default: auto]")
@click.option("--threads", type=int, help="CPU threads.  [default: cores, at most 8]")
@track
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any key, as --set semi.lr=1e-3.")
@click.option(
    "--recipe",
    metavar="NAME",
    shell_complete=recipes,
    help="Published settings, which options override; `sslkit list recipes`.",
)
@click.option("--config", metavar="FILE.toml", help="Configuration file, which options override.")
@plugin_files
@click.option("--name", help="Beginning of the run folder's name.")
@store
@click.option("--again", is_flag=True, help="Train a finished run again beside the first, and compare the weights.")
@click.option("--show-config", is_flag=True, help="Print the resolved configuration and stop.")
@click.option(
    "--save-every", type=float, default=120.0, show_default=True, metavar="S", help="Seconds between checkpoints."
)
@progress
@as_json(RunAnswer | ConfigAnswer)
def run_command(
    sets: tuple[str, ...],
    recipe: str | None,
    config: str | None,
    plugins: tuple[str, ...],
    name: str | None,
    runs: str,
    again: bool,
    show_config: bool,
    save_every: float,
    as_json: bool,
    **flags: Any,
) -> None:
    """Fine-tune on the labelled images, then train on all; the same command goes on where it stopped."""
    from rich.console import Console

    from sslkit import pipeline
    from sslkit.config.resolve import parse_set

    request = dict(map(parse_set, sets)) | {KEYS[k]: v for k, v in flags.items() if v is not None}
    if show_config:
        show_configuration(request, recipe, config, plugins, as_json)
        return
    found = pipeline.run(
        request,
        recipe=recipe,
        config=config,
        plugins=plugins,
        runs=runs,
        name=name,
        again=again,
        save_every=save_every,
        console=Console(stderr=True, emoji=False),
    )
    print_results(found.results, found.folder, as_json)


def show_configuration(
    request: dict[str, Any], recipe: str | None, config: str | None, files: tuple[str, ...], as_json: bool
) -> None:
    from sslkit.config.resolve import to_toml
    from sslkit.prepare.shown import shown
    from sslkit.recipes import layers

    found, left_out = shown(layers(recipe, config, request, files, remark))
    if left_out:
        remark(left_out)
    if as_json:
        answer({"config": found})
    else:
        click.echo(to_toml(found), nl=False)


def print_results(results: dict[str, Any], folder: Path, as_json: bool) -> None:
    """The table of stages on standard output."""
    from sslkit.terminal.tables import results_table, sentences

    if as_json:
        answer(results | {"notes": sentences(results)})
        return
    from rich.console import Console

    console = Console(emoji=False)
    show(console, results_table(results))
    say(console, f"stored in {folder}")


@cli.command("show", short_help="Results of a finished run.")
@click.argument("run", shell_complete=runs)
@click.option("--classes", is_flag=True, help="Also recall and precision of every class, and the confusion matrix.")
@as_json(RunAnswer)
def show_command(run: str, classes: bool, as_json: bool) -> None:
    """Print the table of a finished run again."""
    from rich.console import Console

    from sslkit.record.results import read_results
    from sslkit.store import is_done
    from sslkit.terminal.by_class import class_tables

    folder = Path(run)
    if folder.is_dir() and not is_done(folder):
        raise UserError(f"{run} is not finished; `sslkit run --config {run}/config.toml` goes on with it")
    results = read_results(folder)
    print_results(results, folder, as_json)
    if classes and not as_json:
        if "classes" not in results:
            raise UserError(f"{run} has no labelled test image, or is of an older version: nothing is known by class")
        show(Console(emoji=False), class_tables(results["classes"]))


@cli.command("show-views", short_help="A picture of the augmented views, and of pseudo-labels.")
@click.argument("run", required=False, shell_complete=runs)
@part("--data", "dataset", "Data set, without a RUN.  [default: digits]", "NAME[:ARG]")
@click.option("--seed", type=int, help="Random seed, without a RUN.  [default: 0]")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any key, as --set views.strong=usb.")
@click.option("--n", type=int, default=8, show_default=True, help="How many images.")
@click.option("--out", required=True, metavar="FILE.png", help="Picture to make; never overwritten.")
@plugins
@as_json(OutAnswer)
@with_bars
def show_views_command(
    run: str | None,
    data: str | None,
    seed: int | None,
    sets: tuple[str, ...],
    n: int,
    out: str,
    as_json: bool,
) -> None:
    """Draw images with their weak and strong views; of a finished RUN also pseudo-labels and mixed images."""
    from sslkit.config.resolve import parse_set
    from sslkit.look.views import show_views

    request = dict(map(parse_set, sets)) | {k: v for k, v in (("data", data), ("seed", seed)) if v is not None}
    if run and request:
        raise UserError("a RUN has its own configuration; drop --data, --seed and --set")
    show_views(request, Path(run) if run else None, Path(out), n)
    if as_json:
        answer({"out": out})
    else:
        click.echo(out)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code, one of `CODES`."""
    begin(sys.argv[1:] if arguments is None else arguments)
    try:
        return cli.main(arguments, prog_name="sslkit", standalone_mode=False) or 0
    except click.ClickException as error:
        return fail(2, shortened(error.format_message()))
    except UserError as error:
        return fail(2, str(error))
    except Stopped as error:
        return fail(130, f"{error}; the same command goes on")
    except (KeyboardInterrupt, click.Abort):
        return fail(130, "interrupted; the same command goes on from the last checkpoint, or begins anew")
    except OSError as error:
        return fail(2, f"{error.filename or 'a file'} cannot be used: {one_line(error)}")
    except Exception as error:
        fail(1, one_line(error))
        raise
    finally:
        say_of_drives()


def shortened(message: str) -> str:
    """In one line; the many files that a pattern of the shell gave are named by the first one."""
    line = " ".join(message.split())
    if "unexpected extra argument" in line and "wds:" in line:
        line += "; the shell has made words of the braces: put wds:… in quotes"
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"


def entry_point() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop ends as Ctrl-C does
    sys.exit(main())


if __name__ == "__main__":
    entry_point()
