"""`sslkit check`: whether parts keep what the contracts promise. Imports nothing heavy before it is needed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from sslkit.cli.answers import answer, as_json
from sslkit.cli.completion import parts
from sslkit.cli.documents import CheckAnswer
from sslkit.cli.options import plugins, progress
from sslkit.errors import UserError
from sslkit.terminal import status

if TYPE_CHECKING:
    from sslkit.conformance import Finding


@click.command("check", short_help="Try parts on tiny networks: shapes, gradients, resume, two processes.")
@click.argument("names", nargs=-1, metavar="[[KIND:]NAME[:ARG]]...", shell_complete=parts())
@click.option("--all", "every", is_flag=True, help="All parts that there are.")
@click.option("--kind", help="Parts of this kind alone.")
@plugins
@progress
@as_json(CheckAnswer)
def check_command(names: tuple[str, ...], every: bool, kind: str | None, as_json: bool) -> None:
    """Try parts, built in or your own, on tiny networks and random images.

    NAME is a part of any kind, as a mixer or a pretrainer, and is checked in every kind that has it. What
    fails is said with what was seen; a part that declares `known_failures` gives its reasons.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if bool(names) == (every or kind is not None):
        raise UserError("name the parts that are to be checked, or --all, or --kind KIND")
    from sslkit.conformance import VERSION, check_parts

    found: list[Finding] = []
    table = Table("kind", "name", "checks", "what does not hold", box=box.SIMPLE_HEAD)
    console = Console(emoji=False)
    with status(Console(stderr=True, emoji=False), "") as update:
        for findings in check_parts(names, kind):
            found += findings
            first = findings[0]
            update(f"{first.kind} {escape(first.name)} is checked")
            good = sum(one.state == "passed" for one in findings)
            made = sum(one.state != "skipped" for one in findings)
            table.add_row(first.kind, escape(first.name), f"{good} of {made}", escape(_said(findings)))
    if as_json:
        answer({"version": VERSION, "checks": [asdict(one) for one in found]})
    else:
        console.print(table)
    failed = {(one.kind, one.name) for one in found if one.state == "failed"}
    if failed:
        tried = len({(one.kind, one.name) for one in found})
        raise UserError(f"{len(failed)} of {tried} part{'s' * (tried > 1)} fail{'s' * (len(failed) == 1)}")


def _said(findings: list[Finding]) -> str:
    said = [f"{one.check}: {one.reason}. {one.holds}" for one in findings if one.state == "failed"]
    said += [f"{one.check} is known: {one.reason}" for one in findings if one.state == "known"]
    skipped = sorted({one.reason for one in findings if one.state == "skipped"})
    return "\n".join([*said, *(f"not checked: {reason}" for reason in skipped)])
