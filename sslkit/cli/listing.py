"""`sslkit list`: parts, recipes and studies, as tables or JSON. Imports nothing heavy."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

import click

from sslkit import registry
from sslkit.cli.answers import answer, as_json
from sslkit.cli.completion import kinds
from sslkit.cli.documents import PartsAnswer, RecipesAnswer, StudiesAnswer
from sslkit.cli.options import plugins
from sslkit.errors import UserError, unknown
from sslkit.terminal import console


@click.command("list", short_help="Algorithms, backbones, data sets, recipes, studies.")
@click.argument("kind", required=False, shell_complete=kinds)
@click.option("--check", is_flag=True, help="Load every part and show what fails.")
@plugins
@as_json(PartsAnswer | RecipesAnswer | StudiesAnswer)
def list_command(kind: str | None, check: bool, as_json: bool) -> None:
    """List parts: algorithms, teachers, labelers, mixers, pretrainers, backbones, datasets, readers, trackers; or
    recipes, studies."""
    if kind in ("recipe", "recipes"):
        list_recipes(as_json)
    elif kind in ("study", "studies"):
        list_studies(as_json)
    else:
        list_parts(kind, check, as_json)


def list_parts(kind: str | None, check: bool, as_json: bool) -> None:
    """Print the parts of one kind, or of all.

    Args:
        check: load every part, and show why one cannot be loaded.

    Raises:
        UserError: an unknown kind; with `check`, parts that cannot be loaded.
    """
    kinds = list(registry.KINDS)
    if kind:
        if kind.removesuffix("s") not in kinds:
            raise unknown("kind of part", kind, [*(f"{k}s" for k in kinds), "recipes", "studies"])
        kinds = [kind.removesuffix("s")]
    rows = [entry for k in kinds for entry in registry.entries(k)]
    problems = [problem(entry) if check else "" for entry in rows]
    fields = ("kind", "name", "description", "paper", "origin")
    listed = [{f: getattr(e, f) for f in fields} for e in rows]
    if check:
        listed = [row | {"problem": reason} for row, reason in zip(listed, problems, strict=True)]
    if as_json:
        answer({"parts": listed})
    else:
        _print(listed, {field: field for field in (*fields, *["problem"] * check)})
    if any(problems):
        raise UserError(f"{sum(map(bool, problems))} of {len(rows)} parts cannot be loaded")


def list_recipes(as_json: bool) -> None:
    """Print the recipes with what was published, and what they gave here."""
    from sslkit.recipes import about, recipes

    rows = [{"name": name, **about(name)} for name in recipes()]
    if as_json:
        answer({"recipes": rows})
        return
    _print(rows, {"name": "name", "title": "what it is", "published": "published", "here": "here"})


def list_studies(as_json: bool) -> None:
    """Print the studies of `sslkit compare`, with what each asks."""
    rows = list(importlib.import_module("sslkit.harness.studies").abouts())  # beside the kernel, as its commands are
    if as_json:
        answer({"studies": rows})
        return
    _print(rows, {name: name for name in ("name", "question", "scales", "origin")})


def _print(rows: Sequence[Mapping[str, str]], headings: Mapping[str, str]) -> None:
    """A table of such rows: key -> heading. Kind and origin stand in it where they are not the same in all."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    same = {key for key in ("kind", "origin") if len({row.get(key) for row in rows}) == 1}
    shown = [key for key in headings if key not in same]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for key in shown:
        table.add_column(headings[key], no_wrap=key in ("kind", "name"), overflow="fold")
    for row in rows:
        table.add_row(*(escape(row[key]) for key in shown))
    console().print(table, highlight=False)


def problem(entry: registry.Entry) -> str:
    """Why a part cannot be loaded, or nothing."""
    try:
        registry.find(entry.kind, entry.name)
        registry.load_entry(entry)
    except UserError as error:
        return str(error)
    return ""
