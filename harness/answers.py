"""What a comparison answers: every row against its reference, by how much, and how surely."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import pandas as pd

from sslkit.errors import UserError
from sslkit.harness.arms import CONTROLS
from sslkit.harness.frame import Results, right
from sslkit.harness.statistics import SEEDS, Difference, differ, holm, resampled, verdict


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
