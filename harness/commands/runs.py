"""`sslkit runs`: the store as a table, removals, differences, merges. Imports nothing heavy before it is needed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sslkit.cli.answers import answer, as_json
from sslkit.cli.completion import stored
from sslkit.errors import UserError
from sslkit.harness.commands.documents import ListAnswer, MergeAnswer, RemovedAnswer, RunsDiffAnswer, StoresDiffAnswer
from sslkit.terminal import console

if TYPE_CHECKING:
    from sslkit.harness.stored import Stored, StoredComparison


store = click.option("--runs", "root", default="runs", show_default=True, metavar="DIR", help="Where results are.")


class Listing(click.Group):
    """Without a command it is `ls`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # a shell completes the command's name
            return super().parse_args(ctx, args)
        lists = not args or (args[0].startswith("-") and args[0] not in ("-h", "--help"))
        return super().parse_args(ctx, ["ls", *args] if lists else args)


@click.group("runs", cls=Listing, short_help="List, remove, compare and merge what is stored.")
def runs_command() -> None:
    """List what is stored (ls), remove it (rm), compare configurations and results (diff), merge stores (merge)."""


@runs_command.command("ls")
@store
@as_json(ListAnswer)
def ls_command(root: str, as_json: bool) -> None:
    """List runs and comparisons: what they are, finished, unfinished or damaged, top-1, size on disk."""
    from sslkit.harness.stored import comparisons, runs

    found, groups = runs(Path(root)), comparisons(Path(root))
    if as_json:
        told = [asdict(group) | {"stages": sorted(group.stages)} for group in groups]
        answer({"runs": [asdict(run) for run in found], "comparisons": told})
        return
    if not found and not groups:
        click.echo(f"no runs in {root}")
        return
    print_runs(found)
    print_comparisons(groups)


def print_runs(found: list[Stored]) -> None:
    from rich import box
    from rich.table import Table

    names = ("run", "data", "method", "backbone", "labels", "seed", "state", "top-1 %", "size", "date")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in ("seed", "top-1 %", "size") else "left", overflow="fold")
    for run in found:
        top1 = "" if run.top1 is None else f"{run.top1:.1f}"
        seed, top1 = "" if run.seed is None else str(run.seed), top1 if run.map is None else f"mAP {run.map:.1f}"
        cells = [run.name, run.data, run.method, run.backbone, run.labels, seed, run.state, top1, human(run.size)]
        table.add_row(*map(shown, [*cells, run.date[:16].replace("T", " ")]))
    if found:
        console().print(table, highlight=False)
    for run in found:
        if run.reason:
            click.echo(f"{printable(run.name)} is {run.state}: {printable(run.reason)}")


def print_comparisons(groups: list[StoredComparison]) -> None:
    for group in groups:
        what = f"is damaged: {group.reason}" if group.reason else f"is a comparison of {len(group.runs)} runs"
        click.echo(f"{printable(group.name)} {printable(what)}")


@runs_command.command("rm")
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=stored("run.json", "comparison.json")
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@store
@as_json(RemovedAnswer)
def rm_command(names: tuple[str, ...], yes: bool, root: str, as_json: bool) -> None:
    """Remove runs, and comparisons with the runs made for them; and stages that nothing else there refers to."""
    from sslkit.harness.stored.removal import plan, remove

    if as_json and not yes:
        raise UserError("nothing was removed: --json asks nothing, so it needs --yes")
    found = plan(Path(root), names)
    if as_json:
        remove(Path(root), names, found)
        answer(asdict(found))
        return
    for name in (*found.comparisons, *found.runs):
        click.echo(printable(name))
    for remark in found.remarks:
        click.echo(printable(remark))
    parts = [(found.comparisons, "comparison"), (found.runs, "run"), (found.stages, "stage")]
    what = ", ".join(f"{len(these)} {thing}{'s' * (len(these) != 1)}" for these, thing in parts if these)
    if not yes and not agreed(f"Remove {what}: {human(found.size)}?"):
        raise UserError("nothing was removed; --yes does not ask")
    remove(Path(root), names, found)
    click.echo(f"removed {what}: {human(found.size)}")


def agreed(question: str) -> bool:
    """Whether a person says yes; nobody there, or Ctrl-C, is a no."""
    try:
        return click.confirm(question)
    except click.Abort:
        click.echo()
        return False


@runs_command.command("diff")
@click.argument("a", shell_complete=stored("run.json"))
@click.argument("b", shell_complete=stored("run.json"))
@store
@as_json(RunsDiffAnswer | StoresDiffAnswer)
def diff_command(a: str, b: str, root: str, as_json: bool) -> None:
    """Compare two runs: configuration and results; or two stores: runs that are in one only, or differ."""
    from sslkit.harness.stored.differences import is_store, of_runs, of_stores

    stores = [is_store(Path(name)) for name in (a, b)]
    if stores[0] != stores[1]:
        raise UserError(f"{a} and {b} are a store and something else; name two runs, or two stores")
    if stores[0]:
        told, show = of_stores(Path(a), Path(b)), print_stores
    else:
        places = [Path(root, name) if Path(root, name).is_dir() else Path(name) for name in (a, b)]
        for name, place in zip((a, b), places, strict=True):
            if not place.is_dir():
                raise UserError(f"no run {name!r} in {root}; `sslkit runs ls --runs {root}` lists them")
        told, show = of_runs(*places), print_difference
    if as_json:
        answer(told)
    else:
        show(a, b, told)


@runs_command.command("merge")
@click.argument("stores", nargs=-1, required=True, metavar="STORE...")
@store
@click.option("--dry-run", is_flag=True, help="Print what would be brought, and stop.")
@as_json(MergeAnswer)
def merge_command(stores: tuple[str, ...], root: str, dry_run: bool, as_json: bool) -> None:
    """Bring what other stores have into the one of --runs, by content; they stay as they are."""
    from sslkit.harness.stored.merging import merge, plan

    shares = plan([Path(name) for name in dict.fromkeys(stores)], Path(root))
    said = [] if dry_run else merge(shares, Path(root))
    if as_json:
        told = [asdict(share) | {"root": str(share.root)} for share in shares]
        answer({"dry_run": dry_run, "stores": told, "notes": said})
        return
    for share in shares:
        click.echo(printable(share.said(dry_run)))
        said += share.remarks
    for remark in said:
        click.echo(printable(remark))


def print_difference(a: str, b: str, told: dict[str, Any]) -> None:
    """Keys and results of two runs."""
    if told["configuration"]:
        rows = [[key, *map(word, pair)] for key, pair in told["configuration"].items()]
        print_table(["key", a, b], rows)
    else:
        click.echo("the configurations are equal")
    rows = []
    for stage, found in told["results"].items():
        values = ["" if found[name] is None else f"{found[name]:.1f}" for name in "ab"]
        rows.append([stage, *values, "" if found["difference"] is None else f"{found['difference']:+.1f}"])
    if rows:
        print_table(["score %", a, b, "difference"], rows)
    else:
        click.echo("neither run is finished")


def print_stores(a: str, b: str, told: dict[str, Any]) -> None:
    """Runs of two stores."""
    for where, names in ((a, told["only_a"]), (b, told["only_b"])):
        for name in names:
            click.echo(f"only in {printable(where)}: {printable(name)}")
    for name, (here, there) in told["different"].items():
        pairs = [(s, here.get(s), there.get(s)) for s in {**here, **there} if here.get(s) != there.get(s)]
        words = ", ".join(f"{s} {_percent(x)} and {_percent(y)}" for s, x, y in pairs)
        click.echo(f"different: {printable(name)}: {printable(words)}")
    for name, reason in told["damaged"].items():
        click.echo(f"damaged: {printable(name)}: {printable(reason)}")
    click.echo(f"{len(told['same'])} runs have the same results in both")


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}%"


def print_table(names: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in names:
        table.add_column(shown(name), overflow="fold")
    for row in rows:
        table.add_row(*map(shown, row))
    console().print(table, highlight=False)


def shown(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))


def printable(text: str) -> str:
    """Without letters that a terminal obeys."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def human(count: int) -> str:
    """Bytes for people."""
    return (
        f"{count / 1e9:.1f} GB"
        if count >= 1e9
        else f"{count / 1e6:.1f} MB"
        if count >= 1e5
        else f"{count / 1e3:.1f} kB"
    )
