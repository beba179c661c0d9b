"""`sslkit list`: parts, recipes and studies, as tables or JSON. Imports nothing heavy."""

from __future__ import annotations

import importlib

import click

from sslkit import registry
from sslkit.cli.answers import answer, as_json
from sslkit.cli.completion import kinds
from sslkit.cli.documents import PartsAnswer, RecipesAnswer, StudiesAnswer
from sslkit.cli.options import plugins
from sslkit.errors import UserError, unknown


@click.command("list", short_help="Algorithms, backbones, data sets, recipes, studies.")
@click.argument("kind", required=False, shell_complete=kinds)
@click.option("--check", is_flag=True, help="Load every part and show what fails.")
@plugins
@as_json(PartsAnswer | RecipesAnswer | StudiesAnswer)
def list_command(kind: str | None, check: bool, as_json: bool) -> None:
    """List parts: algorithms, teachers, labelers, mixers, pretrainers, backbones, datasets, readers; or recipes,
    studies."""
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
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    kinds = list(registry.KINDS)
    if kind:
        if kind.removesuffix("s") not in kinds:
            raise unknown("kind of part", kind, [*(f"{k}s" for k in kinds), "recipes", "studies"])
        kinds = [kind.removesuffix("s")]
    rows = [entry for k in kinds for entry in registry.entries(k)]
    problems = [problem(entry) if check else "" for entry in rows]
    if as_json:
        fields = ("kind", "name", "description", "paper", "origin")
        listed = [{f: getattr(e, f) for f in fields} for e in rows]
        if check:
            listed = [row | {"problem": reason} for row, reason in zip(listed, problems, strict=True)]
        answer({"parts": listed})
    else:
        table = Table()
        for column in ("kind", "name", "description", "paper", "origin", *(["problem"] if check else [])):
            table.add_column(column, no_wrap=column in ("kind", "name"))
        for e, reason in zip(rows, problems, strict=True):
            cells = [e.kind, e.name, e.description, e.paper, e.origin]
            table.add_row(*map(escape, [*cells, reason] if check else cells))
        Console().print(table)
    if any(problems):
        raise UserError(f"{sum(map(bool, problems))} of {len(rows)} parts cannot be loaded")


def list_recipes(as_json: bool) -> None:
    """Print the recipes with what was published, and what they gave here."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from sslkit.recipes import about, recipes

    rows = [{"name": name, **about(name)} for name in recipes()]
    if as_json:
        answer({"recipes": rows})
        return
    table = Table(Column("name", no_wrap=True), "what it is", "published", "here")
    for row in rows:
        table.add_row(*(escape(row[key]) for key in ("name", "title", "published", "here")))
    Console().print(table)


def list_studies(as_json: bool) -> None:
    """Print the studies of `sslkit compare`, with what each asks."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    rows = list(importlib.import_module("sslkit.harness.studies").abouts())  # beside the kernel, as its commands are
    if as_json:
        answer({"studies": rows})
        return
    table = Table(Column("name", no_wrap=True), "question", "scales", "origin")
    for row in rows:
        table.add_row(*(escape(row[key]) for key in ("name", "question", "scales", "origin")))
    Console().print(table)


def problem(entry: registry.Entry) -> str:
    """Why a part cannot be loaded, or nothing."""
    try:
        registry.find(entry.kind, entry.name)
        registry.load_entry(entry)
    except UserError as error:
        return str(error)
    return ""
