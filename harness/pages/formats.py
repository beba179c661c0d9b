"""A comparison in each of the formats of `sslkit table`."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sslkit.data.csv_files import cell
from sslkit.harness.numbers.answers import numbers
from sslkit.harness.numbers.frame import Results, results
from sslkit.harness.pages.paper import NOTE as PAPER
from sslkit.harness.pages.paper import paper, sources
from sslkit.harness.pages.said import HEADINGS, said
from sslkit.harness.pages.said import WIDE as WIDE_COSTS
from sslkit.terminal import WIDE, say, show
from sslkit.terminal.told import SCHEMA, finite

LATEX: dict[str, int | str | None] = {
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
SPECIAL: dict[str, int | str | None] = {letter: rf"\{letter}" for letter in "&%$#_{}"}  # to LaTeX, in a sentence
SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
# what a line of 100 characters has room for; flags and failed come with what went wrong
NARROW = (
    *("method", "n", "top-1 %", "mAP %", "flags", "kept %", "correct %", "unknown %", "C+1 %", "AUROC %"),
    *("difference", "95% CI", "wins", "verdict", "failed"),
)
Titled = tuple[str, pd.DataFrame]  # "" is the title of the main table


def text(folder: Path, form: str, delta: float = 1.0, style: str | None = None) -> str:
    """What the file of a format holds.

    Args:
        form: "rich" (as on the screen), "markdown", "latex", "csv", "json" or "html".
        delta: points within which arms are equivalent.
        style: "paper" is the paper's table alone; None also gives it, beneath the others, for the study semi_vit.

    Raises:
        UserError: no such comparison, or it is damaged.
    """
    if form == "html":
        from sslkit.harness.pages.page import page

        return page(folder, delta)
    if form == "rich":
        file = io.StringIO()
        print_rich(folder, delta, style, Console(file=file, width=WIDE, emoji=False))
        return file.getvalue()
    known = results(folder)
    if form == "csv":
        return _csv(paper(known) if style else known.frame)
    if form == "json":
        return json.dumps({"schema": SCHEMA} | _document(known, folder, delta, style), indent=1)
    tables, sentences = _shown(known, delta, style)
    return _latex(tables, sentences) if form == "latex" else _markdown(tables, sentences)


def print_rich(folder: Path, delta: float, style: str | None, console: Console) -> None:
    """Print the tables and the sentences beneath them; arguments and errors are those of `text`."""
    tables, sentences = _shown(results(folder), delta, style, NARROW)
    for title, frame in tables:
        if title:
            show(console, [_table(title, frame.drop(columns=[*WIDE_COSTS], errors="ignore"))])
        else:
            show(console, [_group(str(name), group) for name, group in frame.groupby("condition", sort=False)])
    show(console, map(Text, sentences))
    say(console, f"stored in {folder}")


def _shown(
    known: Results, delta: float, style: str | None, room: Sequence[str] | None = None
) -> tuple[list[Titled], list[str]]:
    """The tables, and the sentences beneath them.

    Args:
        room: columns that the main table has room for; None is all.
    """
    if style:
        return [("as in the paper", paper(known))], [PAPER, *sources()]
    told = said(known, delta, room=room)
    papers = [] if told.paper is None else [("as in the paper", told.paper)]
    beneath = [PAPER, *told.sources] if papers else []
    tables = [
        ("", told.summary.rename(columns=HEADINGS)),
        ("cost", told.costs.rename(columns=HEADINGS)),
        *papers,
    ]
    answered = [*filter(None, (told.question, *told.verdicts, told.claim)), *told.worths, *told.warnings]
    return tables, [*answered, *told.notes, told.cost_note, *beneath]


def document(folder: Path, delta: float = 1.0, style: str | None = None) -> dict[str, Any]:
    """What the format json holds, of JSON values; arguments and errors are those of `text`."""
    return _document(results(folder), folder, delta, style)


def _document(known: Results, folder: Path, delta: float, style: str | None) -> dict[str, Any]:
    told = said(known, delta, style=style)
    shown = {name: known.about[name] for name in ("comparison", "study", "differences", "labeled", "costs")}
    shown |= {"question": told.question, "claim": told.claim, "summary": _records(told.summary)}
    shown |= {"verdicts": told.verdicts, "worth": told.worths, "warnings": told.warnings}
    shown |= {"notes": [*told.warnings, *told.notes, told.cost_note]}
    shown["stability and cost"] = _records(told.costs)
    shown |= {} if told.paper is None else {"paper": _records(told.paper), "sources": told.sources}
    shown |= {"paired": [numbers(one, delta) for one in told.found], "rows": _records(known.frame)}
    return dict(finite(shown | {"name": folder.name}))  # a part's option may be infinite


def _csv(frame: pd.DataFrame) -> str:
    """With names that no spreadsheet takes for a formula."""
    return str(frame.map(lambda value: cell(value) if isinstance(value, str) else value).to_csv(index=False))


def _latex(tables: list[Titled], sentences: list[str]) -> str:
    """With letters that LaTeX has no glyph for in its usual encoding as commands."""
    made = [str(frame.to_latex(index=False, escape=True)).translate(str.maketrans(LATEX)) for _, frame in tables]
    lines = [rf"{line.translate(str.maketrans(SPECIAL | LATEX))}\par" for line in sentences]
    return "\n".join([r"% \usepackage{booktabs}", *made, r"{\footnotesize", *lines, "}"])


def _markdown(tables: list[Titled], sentences: list[str]) -> str:
    plain = (frame.map(lambda value: str(value).replace("|", "\\|").replace("<", "&lt;")) for _, frame in tables)
    # else tabulate takes words for numbers, and writes them anew: astanin/python-tabulate#66
    made = [str(frame.to_markdown(index=False, disable_numparse=True)) for frame in plain]
    return "\n\n".join([*made, "\n".join(f"* {line}" for line in sentences)])


def _table(title: str, frame: pd.DataFrame) -> Table:
    shown = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in frame:
        shown.add_column(escape(str(name)), overflow="fold")
    for line in frame.itertuples(index=False):
        shown.add_row(*(escape(str(value)) for value in line))
    return shown


def _group(condition: str, frame: pd.DataFrame) -> Table:
    """The rows of one condition, without the columns that a line of 100 characters has no room for."""
    shown = Table(title=escape(condition), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in (name for name in NARROW if name in frame):
        words = name in ("method", "flags", "verdict", "failed")
        shown.add_column(name, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for line in frame.to_dict("records"):
        shown.add_row(*(escape(str(line[str(column.header)])) for column in shown.columns))
    return shown


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{k: None if pd.isna(v) else v for k, v in record.items()} for record in frame.to_dict("records")]
