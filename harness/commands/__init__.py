"""`sslkit compare`, `sslkit table`. Imports nothing heavy before a command needs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sslkit.cli.answers import answer, as_json
from sslkit.cli.completion import stored, studies
from sslkit.cli.options import part, plugin_files, store, track, with_bars
from sslkit.errors import UserError
from sslkit.harness.commands.documents import ComparisonAnswer, DetachedAnswer, PlanAnswer, StatusAnswer
from sslkit.harness.commands.lists import split, varied
from sslkit.plugins import load_plugin
from sslkit.terminal import console, say

if TYPE_CHECKING:
    from sslkit.harness.plan.survey import Survey
    from sslkit.store import Store

# format -> end of the names of its files
FORMATS = {"rich": ".txt", "markdown": ".md", "latex": ".tex", "csv": ".csv", "json": ".json", "html": ".html"}

form = click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), help="[default: by the extension of --out, rich without one]"
)
out = click.option("--out", metavar="FILE", help="Write to this file, which is overwritten, not to the screen.")


def points(_: click.Context, __: click.Parameter, value: float) -> float:
    """`--delta`, a number that can be half the width of a zone."""
    if not 0 <= value < 100:
        raise UserError(f"--delta must be points of accuracy, from 0 to below 100, got {value:g}")
    return value


delta = click.option(
    "--delta", default=1.0, show_default=True, callback=points, help="Margin of equivalence, in points of accuracy."
)


@click.command("compare", short_help="Matched comparison of methods over seeds.")
@part("--algo", "algorithm", "Algorithms; each is an arm.", "A,B")
@part("--teacher", "teacher", "Teachers, where the algorithm has one.", "A,B")
@part("--labeler", "labeler", "Labelers, where the algorithm has one.", "A,B")
@part("--mixer", "mixer", "Mixers, where the algorithm has one.", "A,B")
@click.option("--vary", multiple=True, metavar="KEY=V1,V2", help="Any key; each value is an arm: labeler.tau=0.5,0.7.")
@click.option("--labels", metavar="A,B", help="Numbers of labels; each has a table.  [default: 10/class]")
@part("--backbone", "backbone", "Networks; each has a table.", "A,B")
@part("--data", "dataset", "Data sets; each has a table.  [default: digits]", "NAME[:ARG]")
@click.option("--study", metavar="NAME|FILE.toml", shell_complete=studies, help="A study: `sslkit list studies`.")
@click.option("--scale", default="quick", show_default=True, help="Size of the --study: quick, small or paper.")
@click.option("--seeds", type=int, help="How many seeds every arm has.  [default: 8, or the study's]")
@click.option("--first-seed", type=int, help="The first of them.  [default: 0, or the study's]")
@click.option("--reference", help="Arm that the others are compared with.  [default: finetune+, or the study's]")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any key, for all arms.")
@click.option("--config", metavar="FILE.toml", help="Configuration file, which options override, for all arms.")
@click.option("--threads", type=int, default=1, show_default=True, help="CPU threads of each run.")
@click.option(
    "--jobs", type=int, help="Runs at a time, each in a process; jobs of a cluster.  [default: 1; all it runs]"
)
@track
@plugin_files
@click.option("--name", help="Beginning of the comparison's name.  [default: the study's, or compare]")
@click.option(
    "--cluster", metavar="slurm|print,KEY=VALUE", help="Submit jobs: slurm,partition=gpu,mem=8G; or print them."
)
@click.option(
    "--bundle", type=float, default=10.0, show_default=True, help="Minutes that a job of a cluster has at least."
)
@click.option("--detach", is_flag=True, help="Leave the jobs of a cluster alone; the same command without it collects.")
@click.option("--status", is_flag=True, help="Print how the stages stand that were submitted, and stop.")
@click.option("--equal-compute", is_flag=True, help="Also train finetune+ for as many FLOPs as the most expensive arm.")
@click.option("--keep", is_flag=True, help="Keep the weights of all stages.")
@click.option("--dry-run", is_flag=True, help="Print the plan, its time and its statistical power, and stop.")
@delta
@form
@as_json(ComparisonAnswer | PlanAnswer | StatusAnswer | DetachedAnswer)
@out
@store
@with_bars
def compare_command(
    vary: tuple[str, ...],
    study: str | None,
    scale: str,
    seeds: int | None,
    first_seed: int | None,
    reference: str | None,
    sets: tuple[str, ...],
    config: str | None,
    threads: int,
    jobs: int | None,
    track: str | None,
    plugins: tuple[str, ...],
    name: str | None,
    cluster: str | None,
    bundle: float,
    detach: bool,
    status: bool,
    equal_compute: bool,
    keep: bool,
    dry_run: bool,
    delta: float,
    form: str | None,
    as_json: bool,
    out: str | None,
    runs: str,
    **lists: str | None,
) -> None:
    """Train all combinations on the same seeds, labels and steps: paired differences, their 95% CIs and tests."""
    from rich.console import Console

    from sslkit.config.resolve import parse_set
    from sslkit.harness.cluster.driver import Detached
    from sslkit.harness.cluster.entry import Asked, work_of
    from sslkit.harness.studies import CONDITIONS
    from sslkit.harness.work.compare import Options, compare, introduce
    from sslkit.harness.work.execute import leave_if_imported
    from sslkit.harness.work.request import Words, comparison
    from sslkit.prepare import read_once
    from sslkit.record.tracking import Tracking
    from sslkit.store import Store

    place = writable(out, form)
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs must be 1 or more, got {jobs}")
    if track and cluster:
        raise UserError("--track tells what runs here; with --cluster, give the same command later without it")
    asked = Asked.of(cluster, bundle, detach)
    leave_if_imported()
    for plugin in plugins:
        load_plugin(plugin)
    Tracking(lambda sentence: None).choose(track or "")  # what is amiss is seen here, not in every run
    given = {option: split(text, paths=option == "data") for option, text in lists.items() if text is not None}
    groups = {option: given[option] for option in CONDITIONS if option in given}
    base = dict(map(parse_set, sets)) | {"threads": threads}
    words = Words(base, varied(given, vary), groups, study, scale, seeds, first_seed, reference, config, equal_compute)
    name = name or words.name
    said = Console(stderr=True, emoji=False)
    with read_once():
        made, found = comparison(words, runs, name)
        folder = Store(runs).run_folder(name, made.digest)
        if status:
            show_status(Store(runs), folder, found, as_json or form == "json")
            return
        planned = introduce(made, found, runs, said, timed=dry_run)
        work = work_of(asked, made, found, runs, name, said)
    if dry_run:
        if as_json:
            answer(planned | {"name": folder.name})
        return
    how = Options(name, study or "", jobs, keep, plugins, track or "", work)
    try:
        compare(made, found, runs, said, how)
    except Detached as left:
        if as_json:
            answer({"detached": str(left), "name": folder.name})
        else:
            say(said, str(left))
        return
    show(folder, form, delta, place, as_json=as_json)


def show_status(store: Store, folder: Path, found: Survey, as_json: bool) -> None:
    """Print how the stages of the comparison in a folder stand."""
    from sslkit.harness.cluster.status import standing, words

    rows = standing(folder.absolute(), found, store)
    if as_json:
        answer({"stages": rows})
        return
    for line in words(rows):
        say(console(), line)


@click.command("table", short_help="Results of a comparison, in several formats.")
@click.argument("name", required=False, shell_complete=stored("comparison.json"))
@click.option(
    "--style", type=click.Choice(["paper"]), help="The paper's table alone: model, method, labels, published."
)
@delta
@form
@as_json(ComparisonAnswer)
@out
@store
@with_bars
def table_command(
    name: str | None, style: str | None, delta: float, form: str | None, as_json: bool, out: str | None, runs: str
) -> None:
    """Print the table of a comparison again, from stored runs; without NAME of the newest. html is a whole page."""
    from sslkit.harness.numbers.frame import find

    show(find(runs, name), form, delta, writable(out, form), style, as_json=as_json)


def show(
    folder: Path, form: str | None, delta: float, out: Path | None, style: str | None = None, *, as_json: bool = False
) -> None:
    """Print a comparison in one of the formats, or write it to a file and print the file's name.

    Args:
        as_json: answer in JSON, whatever is written to the file.
    """
    from sslkit.harness.pages.formats import document, print_rich, text
    from sslkit.store.files import write_text

    by_name = next((f for f, end in FORMATS.items() if out and out.suffix.lower() == end), None)
    form = form or by_name or ("json" if as_json else "rich")
    if out is not None:
        write_text(out, text(folder, form, delta, style).rstrip("\n") + "\n")
    if as_json or (form == "json" and out is None):
        answer(document(folder, delta, style))
    elif out is not None:
        click.echo(out)
    elif form == "rich":
        print_rich(folder, delta, style, console())
    else:
        click.echo(text(folder, form, delta, style).rstrip("\n"))


def writable(out: str | None, form: str | None) -> Path | None:
    """The file of `--out`, before anything is trained for it.

    Raises:
        UserError: it cannot be written to, or its end and `--format` say no format.
    """
    if out is None:
        return None
    path = Path(out)
    if path.is_dir() or not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise UserError(f"--out {out}: it must be the name of a file in a folder that can be written to")
    if form is None and path.suffix and path.suffix.lower() not in FORMATS.values():
        raise UserError(f"--out {out}: it must end in {', '.join(FORMATS.values())}, or give --format")
    return path
