"""All that is said of a comparison, whichever format shows it: put together here, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from sslkit.harness.numbers.answers import Answer, answers, equals, notes, sentences
from sslkit.harness.numbers.efficiency import worths
from sslkit.harness.numbers.frame import Results
from sslkit.harness.pages import cost_table, paper, tables
from sslkit.harness.studies import asked

HEADINGS = {"row": "method"}  # for people; programs read `row` everywhere
WIDE = ("SD", "worst seed", "images")  # of the costs, what there is no room for where there is little
PAPERS = "semi_vit"  # the study whose table is that of a paper, too


@dataclass(frozen=True)
class Said:
    """Tables and sentences of a comparison."""

    found: list[Answer]
    summary: pd.DataFrame  # a line for each row of each condition
    costs: pd.DataFrame
    paper: pd.DataFrame | None  # where it is asked for, or its study was run
    sources: list[str]  # of the paper's published values
    score: str  # by which rows are compared, in words
    question: str | None  # of the study
    claim: str | None  # what was published on the question
    verdicts: list[str]
    warnings: list[str]
    worths: list[str]  # what labels are worth
    notes: list[str]  # on the columns of the summary that are shown, and on the verdicts
    cost_note: str


def said(known: Results, delta: float, *, style: str | None = None, room: Sequence[str] | None = None) -> Said:
    """What a comparison came to.

    Args:
        delta: points within which arms are equivalent.
        style: "paper" asks for the paper's table.
        room: columns of the summary that there is room for; None is all.
    """
    found = answers(known)
    summary = tables.summary(known, found, delta)
    shown = [str(name) for name in summary if room is None or name in room]
    costs = cost_table.costs(known)
    question, claim = asked(known.about["study"])
    papers = style == "paper" or known.about["study"] == PAPERS
    return Said(
        found=found,
        summary=summary,
        costs=costs,
        paper=paper.paper(known) if papers else None,
        sources=paper.sources() if papers else [],
        score="mAP" if known.score == "map" else "top-1 accuracy",
        question=question,
        claim=claim,
        verdicts=[*sentences(found, delta), *equals(known, found)],
        warnings=tables.mixed(known),
        worths=[str(worth) for worth in worths(known)],
        notes=notes(known, found, shown, delta),
        cost_note=cost_table.note([name for name in costs if room is None or name not in WIDE]),
    )
