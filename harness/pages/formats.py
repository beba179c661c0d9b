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
from sslkit.harness.numbers.answers import answers, notes, sentences
from sslkit.harness.numbers.efficiency import worths
from sslkit.harness.numbers.frame import Results, results
from sslkit.harness.pages.cost_table import NOTE as COST
from sslkit.harness.pages.cost_table import costs
from sslkit.harness.pages.paper import NOTE as PAPER
from sslkit.harness.pages.paper import paper, sources
from sslkit.harness.pages.tables import mixed, summary
from sslkit.harness.studies import asked
from sslkit.terminal import WIDE, say, show

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
NARROW = ("row", "n", "top-1 %", "flags", "kept %", "right %", "difference", "95% interval", "wins", "says", "failed")
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
        return _json(known, delta, style)
    tables, said = _shown(known, delta, style)
    return _latex(tables, said) if form == "latex" else _markdown(tables, said)


def print_rich(folder: Path, delta: float, style: str | None, console: Console) -> None:
    """Print the tables and the sentences beneath them; arguments and errors are those of `text`."""
    tables, said = _shown(results(folder), delta, style, NARROW)
    for title, frame in tables:
        if title:
            show(console, [_table(title, frame.drop(columns=["worst seed", "images"], errors="ignore"))])
        else:
            show(console, [_group(str(name), group) for name, group in frame.groupby("condition", sort=False)])
    show(console, map(Text, said))
    say(console, f"in {folder}")


def _shown(
    known: Results, delta: float, style: str | None, room: Sequence[str] | None = None
) -> tuple[list[Titled], list[str]]:
    """The tables, and the sentences beneath them.

    Args:
        room: columns that the main table has room for; None is all.
    """
    papers = _papers(known, style)
    beneath = [PAPER, *sources()] if papers else []
    if style:
        return papers, beneath
    found = answers(known)
    frame = summary(known, found, delta)
    columns = [name for name in frame if room is None or name in room]
    tables = [("", frame), ("stability and cost", costs(known)), *papers]
    question, claim = asked(known.about["study"])
    said = [*filter(None, (question, *sentences(found, delta), claim)), *map(str, worths(known)), *mixed(known)]
    return tables, [*said, *notes(known, found, columns, delta), COST, *beneath]


def _papers(known: Results, style: str | None) -> list[Titled]:
    """The paper's table, where it is asked for or its study was run."""
    return [("as in the paper", paper(known))] if style or known.about["study"] == "semi_vit" else []


def _json(known: Results, delta: float, style: str | None) -> str:
    found, papers = answers(known), _papers(known, style)
    shown = {name: known.about[name] for name in ("comparison", "study", "differences", "labeled", "costs")}
    frame = summary(known, found, delta)
    shown["question"], shown["claim"] = asked(known.about["study"])
    shown |= {"summary": _records(frame), "verdicts": sentences(found, delta), "worth": list(map(str, worths(known)))}
    shown["notes"] = [*notes(known, found, frame.columns, delta), COST]
    shown["stability and cost"] = _records(costs(known))
    shown |= {"paper": _records(papers[0][1]), "sources": sources()} if papers else {}
    shown |= {"rows": _records(known.frame)}
    finite = json.loads(json.dumps(shown), parse_constant=str)  # a part's option may be infinite; JSON has no word
    return json.dumps(finite, indent=1)


def _csv(frame: pd.DataFrame) -> str:
    """With names that no spreadsheet takes for a formula."""
    return str(frame.map(lambda value: cell(value) if isinstance(value, str) else value).to_csv(index=False))


def _latex(tables: list[Titled], said: list[str]) -> str:
    """With letters that LaTeX has no glyph for in its usual encoding as commands."""
    made = [str(frame.to_latex(index=False, escape=True)).translate(str.maketrans(LATEX)) for _, frame in tables]
    lines = [rf"{line.translate(str.maketrans(SPECIAL | LATEX))}\par" for line in said]
    return "\n".join([r"% \usepackage{booktabs}", *made, r"{\footnotesize", *lines, "}"])


def _markdown(tables: list[Titled], said: list[str]) -> str:
    plain = (frame.map(lambda value: str(value).replace("|", "\\|").replace("<", "&lt;")) for _, frame in tables)
    # else tabulate takes words for numbers, and writes them anew: astanin/python-tabulate#66
    made = [str(frame.to_markdown(index=False, disable_numparse=True)) for frame in plain]
    return "\n\n".join([*made, "\n".join(f"* {line}" for line in said)])


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
        words = name in ("row", "flags", "says", "failed")
        shown.add_column(name, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for line in frame.to_dict("records"):
        shown.add_row(*(escape(str(line[str(column.header)])) for column in shown.columns))
    return shown


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{k: None if pd.isna(v) else v for k, v in record.items()} for record in frame.to_dict("records")]
