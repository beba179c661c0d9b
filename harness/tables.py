"""Tables of a comparison: a line a row, its difference from the reference, and what that shows."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Table

from sslkit.errors import UserError
from sslkit.finished.predict import cell
from sslkit.harness.arms import CONTROLS
from sslkit.harness.cost_table import NOTE as COST
from sslkit.harness.cost_table import costs
from sslkit.harness.efficiency import worths
from sslkit.harness.frame import Results, results, right
from sslkit.harness.paper import NOTE as PAPER
from sslkit.harness.paper import paper, sources
from sslkit.harness.statistics import SEEDS, Difference, differ, holm, resampled, seeds_needed, smallest_p, verdict
from sslkit.harness.survey import Planned

NOT_YET = Planned.error
LATEX = {"±": r"$\pm$", "≥": r"$\geq$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}


@dataclass(frozen=True)
class Answer:
    """One row beside its reference, under one condition."""

    condition: str
    row: str
    reference: str
    values: list[float]  # differences in points, a seed each, on the common seeds
    comparisons: int  # that are declared; 0 of a control, which is not tested
    found: Difference | None = None  # None where there are too few common seeds
    resampled: tuple[float, float] | None = None  # None also where predictions are damaged

    @property
    def n(self) -> int:
        return len(self.values)


def answers(results: Results) -> list[Answer]:
    """Every row against its reference on their common seeds; p values are those of the arms, adjusted over all (Holm).

    The controls, where they are not the reference, have a difference and an interval, and no test: nobody asked.
    """
    pairs = []
    for condition, group in results.frame.groupby("condition", sort=False):
        rows = [str(row) for row in group["row"].unique()]
        pairs += [(str(condition), row, _reference(row, rows, results.reference)) for row in rows]
    pairs = [(condition, row, reference) for condition, row, reference in pairs if reference not in ("", row)]
    asked = [row.partition(",")[0] not in CONTROLS for _, row, _ in pairs]
    declared = max(1, sum(asked))
    made = [_answer(results, *pair, declared if test else 0) for pair, test in zip(pairs, asked, strict=True)]
    tested = [i for i, answer in enumerate(made) if answer.found and answer.found.p is not None]
    adjusted = holm([made[i].found.p for i in tested], declared)  # type: ignore[union-attr,misc]
    for i, p in zip(tested, adjusted, strict=True):
        made[i] = replace(made[i], found=replace(made[i].found, p_adjusted=p))  # type: ignore[type-var]
    return made


def _reference(row: str, rows: list[str], reference: str) -> str:
    """The row that a row is compared with: where arms do not share a control, its own arm's; "" where there is none."""
    control, _, arm = row.partition(", ")
    own = f"{reference}, {arm if control in CONTROLS else row}"
    return reference if reference in rows else own if reference in CONTROLS and own in rows else ""


def _answer(results: Results, condition: str, row: str, reference: str, comparisons: int) -> Answer:
    group = results.good[results.good["condition"] == condition]
    mine, theirs = (group[group["row"] == name] for name in (row, reference))
    both = pd.merge(mine, theirs, on="seed", suffixes=("", "_r")).sort_values("seed")
    values = (both["top1"] - both["top1_r"]).tolist()
    if len(both) < SEEDS:
        return Answer(condition, row, reference, values, comparisons)
    found, again = differ(values, comparisons), None
    with contextlib.suppress(UserError):  # damaged predictions take this interval with them, and nothing else
        again = resampled(right(results.runs, both["key"].tolist()), right(results.runs, both["key_r"].tolist()))
    return Answer(condition, row, reference, values, comparisons, found, again)


def summary(results: Results, found: list[Answer], delta: float = 1.0) -> pd.DataFrame:
    """The table as a frame of words: one line a condition and row."""
    known = {(a.condition, a.row): a for a in found}
    lines = []
    for (condition, row), group in results.frame.groupby(["condition", "row"], sort=False):
        good = group[group["error"] == ""]
        line = {
            "condition": condition,
            "row": row,
            "n": len(good),
            "top-1 %": _mean(good["top1"], group["error"]),
            "worst": f"{good['top1'].min():.1f}" if len(good) else "",
            "flags": _flags(group["flags"]),
            "kept %": _percent(good["coverage"]),
            "right %": _percent(good["precision"]),
            **_against(known.get((condition, row)), delta),
            "failed": "; ".join(sorted({*group["error"]} - {"", NOT_YET})),
        }
        lines.append(line)
    made = pd.DataFrame(lines)
    return made.drop(columns=[name for name in ("flags", "failed") if not made[name].any()])


def _flags(values: pd.Series) -> str:
    """Each flag with the number of its seeds."""
    found = Counter(flag for text in values.dropna() for flag in text.split(", ") if flag)
    return ", ".join(f"{flag} ({n} of {len(values)})" for flag, n in sorted(found.items()))


def _mean(values: pd.Series, errors: pd.Series) -> str:
    if not len(values):
        return NOT_YET if NOT_YET in set(errors) else "not run"
    return f"{values.mean():.1f}" + (f" ± {values.std():.1f}" if len(values) > 1 else "")


def _percent(values: pd.Series) -> str:
    known = values.dropna()
    return f"{100 * known.mean():.0f}" if len(known) else ""


def _against(answer: Answer | None, delta: float) -> dict[str, str]:
    empty = dict.fromkeys(("difference", "95% interval", "seeds and images", "wins", "p", "says"), "")
    if answer is None:
        return empty
    if answer.found is None:
        return empty | {"says": f"{answer.n} seeds: values only"}
    d = answer.found
    few = f"≥ {smallest_p(d.n):.2g} ({seeds_needed(answer.comparisons)} seeds needed)" if answer.comparisons else ""
    return {
        "difference": f"{d.mean:+.1f}",
        "95% interval": _interval(d.low, d.high),
        "seeds and images": _interval(*answer.resampled) if answer.resampled else "predictions are damaged",
        "wins": f"{d.wins} of {d.n}",
        "p": few if d.p_adjusted is None else f"{d.p_adjusted:.2g}",
        "says": verdict(d, delta),
    }


def _interval(low: float, high: float) -> str:
    return f"{low:+.1f} to {high:+.1f}"


def sentences(found: list[Answer], delta: float = 1.0) -> list[str]:
    """A verdict for each row."""
    said = []
    for a in found:
        if a.found is None:
            said.append(f"{a.condition}: {a.row} - {a.reference}: {a.n} common seeds, too few for a statement.")
            continue
        d = a.found
        said.append(
            f"{a.condition}: {a.row} - {a.reference} = {d.mean:+.1f} points "
            f"(95% interval {d.low:+.1f} to {d.high:+.1f}, n = {d.n}): {verdict(d, delta)}."
        )
    return said


def render(folder: Path, form: str, delta: float = 1.0, style: str | None = None) -> str | list[Table | str]:
    """The table in one of the formats of `sslkit table`: a text, or for "rich" what a console prints.

    Args:
        style: "paper" is the paper's table alone; None also gives it, beneath the others, for the study semi_vit.
    """
    known = results(folder)
    papers = [("as in the paper", paper(known))] if style or known.about["study"] == "semi_vit" else []
    if form == "csv":
        return _csv(papers[0][1] if style else known.frame)
    found = answers(known)
    frame, told, worth, cost = summary(known, found, delta), sentences(found, delta), worths(known), costs(known)
    if form == "json":
        shown = {name: known.about[name] for name in ("comparison", "study", "differences", "labeled", "costs")}
        shown |= {"summary": _records(frame), "verdicts": told, "worth": list(map(str, worth))}
        shown |= {"stability and cost": _records(cost)}
        shown |= {"paper": _records(papers[0][1]), "sources": sources()} if papers else {}
        shown |= {"rows": _records(known.frame)}
        finite = json.loads(json.dumps(shown), parse_constant=str)  # a part's option may be infinite; JSON has no word
        return json.dumps(finite, indent=1)
    note = (
        f"Differences from {known.reference} in points, averaged network at the last step; intervals of 95% over seeds "
        "(t), and over seeds and images (resampled); p by sign flips, Holm."
    )
    said = [note, *told, *map(str, worth), *mixed(known), COST]
    tables = [("", frame), ("stability and cost", cost), *papers]
    if style:
        said, tables = [], papers
    said += [PAPER, *sources()] if papers else []
    if form == "latex":
        return "\n".join([r"% \usepackage{booktabs}", *(_latex(shown) for _, shown in tables)])
    if form == "markdown":
        return "\n\n".join([*(_markdown(shown) for _, shown in tables), "\n".join(f"* {line}" for line in said)])
    groups = [] if style else [_group(str(name), group) for name, group in frame.groupby("condition", sort=False)]
    narrow = [(name, shown.drop(columns=["worst seed", "images"], errors="ignore")) for name, shown in tables if name]
    return [*groups, *(_table(name, shown) for name, shown in narrow), *said]


def mixed(known: Results) -> list[str]:
    """That stages were trained by different versions of sslkit or torch; the frame says which."""
    found = sorted(known.good["versions"].unique())
    return [f"Stages were trained by different versions: {'; '.join(found)}."] if len(found) > 1 else []


def _csv(frame: pd.DataFrame) -> str:
    """With names that no spreadsheet takes for a formula."""
    return str(frame.map(lambda value: cell(value) if isinstance(value, str) else value).to_csv(index=False))


def _latex(frame: pd.DataFrame) -> str:
    """With letters that LaTeX has no glyph for in its usual encoding as commands."""
    text = str(frame.to_latex(index=False, escape=True))
    for letter, command in LATEX.items():
        text = text.replace(letter, command)
    return text


def _markdown(frame: pd.DataFrame) -> str:
    plain = frame.map(lambda value: str(value).replace("|", "\\|").replace("<", "&lt;"))
    return str(plain.to_markdown(index=False, disable_numparse=True))


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
    names = ["row", "n", "top-1 %", "kept %", "right %", "difference", "95% interval", "wins", "says"]
    for name in names + ["failed"] * ("failed" in frame):
        words = name in ("row", "says", "failed")
        shown.add_column(name, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for line in frame.to_dict("records"):
        shown.add_row(*(escape(str(line[str(column.header)])) for column in shown.columns))
    return shown


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{k: None if pd.isna(v) else v for k, v in record.items()} for record in frame.to_dict("records")]
