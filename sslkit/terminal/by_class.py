"""What a run gave class by class: a sentence for every run, and the tables of `sslkit show --classes`."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

LOWEST = 3  # classes that the sentence names
WIDE = 16  # classes of which the counts fit on a line


def sentence(found: dict[str, Any]) -> str:
    """The balanced accuracy, and the classes of the lowest recall."""
    known = sorted((row for row in found["rows"] if row["images"]), key=lambda row: float(row["recall"]))
    lowest = ", ".join(f"{row['class']!r} {100 * row['recall']:.0f}%" for row in known[:LOWEST] if row["recall"] < 1)
    below = f"; lowest recall: {lowest} (`sslkit show RUN --classes` has all)" if lowest else ""
    return f"Balanced accuracy {100 * found['balanced_accuracy']:.1f}%{below}."


def class_tables(found: dict[str, Any]) -> list[Table]:
    """Recall and precision of every class, and how often which was taken for which; names are no markup."""
    table = _table("classes, on the labelled test images", "class", "images", "predicted", "recall %", "precision %")
    for row in found["rows"]:
        shares = ("" if row[k] is None else f"{100 * row[k]:.1f}" for k in ("recall", "precision"))
        table.add_row(Text(row["class"]), str(row["images"]), str(row["predicted"]), *shares)
    names = [row["class"] for row in found["rows"]]
    if "confusion" not in found:
        return [table]
    if len(names) <= WIDE:
        return [table, _matrix(names, found["confusion"])]
    return [table, _pairs(names, found["confusion"])]


def _matrix(names: list[str], counts: list[list[int]]) -> Table:
    """A line a true class, a column a predicted one, by number."""
    table = _table("true classes in lines, predicted in columns", "", *map(str, range(1, len(names) + 1)))
    for c, (name, line) in enumerate(zip(names, counts, strict=True)):
        cells = [Text(str(n) if n else ".", style="bold" if c == i else "") for i, n in enumerate(line)]
        table.add_row(Text(f"{c + 1} {name}"), *cells)
    return table


def _pairs(names: list[str], counts: list[list[int]]) -> Table:
    """The most frequent confusions."""
    table = _table("most frequent confusions", "true class", "predicted as", "images")
    found = [(n, a, b) for a, line in enumerate(counts) for b, n in enumerate(line) if n and a != b]
    for n, a, b in sorted(found, key=lambda pair: -pair[0])[:20]:
        table.add_row(Text(names[a]), Text(names[b]), str(n))
    return table


def _table(title: str, *names: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for i, name in enumerate(names):
        table.add_column(name, justify="left" if i == 0 or name == "predicted as" else "right", overflow="fold")
    return table
