"""What a comparison's differences say: every row beside its reference, a verdict for each, notes for their tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sslkit.errors import UserError
from sslkit.harness.numbers.frame import Results, right
from sslkit.harness.numbers.statistics import SEEDS, Difference, crossed, differ, holm, seeds_needed, trust, verdict
from sslkit.harness.plan.arms import CONTROLS, is_control
from sslkit.terminal import count


@dataclass(frozen=True)
class Answer:
    """One row beside its reference, under one condition."""

    condition: str
    row: str
    reference: str
    values: list[float]  # differences in points, a seed each, on the common seeds
    comparisons: int  # that are declared; 0 of a control, which is not tested
    found: Difference | None = None  # None where there are too few common seeds
    crossed: tuple[float, float] | str = ""  # or why there is none

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
    asked = [not is_control(row) for _, row, _ in pairs]
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
    try:
        stacked = right(results.runs, [*both["key"], *both["key_r"]])
        again = "other images by seed" if stacked is None else crossed(*np.split(stacked, 2))
    except UserError:  # they take this interval with them, and nothing else
        again = "predictions are damaged"
    return Answer(condition, row, reference, values, comparisons, differ(values, comparisons), again)


def sentences(found: list[Answer], delta: float = 1.0) -> list[str]:
    """A verdict for each row."""
    said = []
    for a in found:
        if a.found is None:
            few = f"{count(a.n, 'common seed')}, too few for a statement"
            said.append(f"{a.condition}: {a.row} - {a.reference}: {few}.")
            continue
        d, p = a.found, ""
        if d.p_adjusted is not None:
            p = f", p = {d.p_adjusted:.2g}"
        elif a.comparisons:
            p = f", no p of 5% below {seeds_needed(a.comparisons)} seeds"
        said.append(
            f"{a.condition}: {a.row} - {a.reference} = {d.mean:+.1f} points "
            f"(95% interval {d.low:+.1f} to {d.high:+.1f}, n = {d.n}{p}): {verdict(d, delta)}."
        )
    return said


def notes(results: Results, found: list[Answer], columns: Collection[str], delta: float = 1.0) -> list[str]:
    """What the columns of a summary are; where there are intervals also what is said of them, and how far they hold."""
    seeds, declared = [a.n for a in found if a.found], max((a.comparisons for a in found), default=0)
    told = {
        "top-1 %": "averaged network at the last step, mean ± sd over n seeds",
        "worst": "top-1 of the worst seed",
        "flags": "what went wrong in training, in how many seeds",
        "kept %": "pseudo-labels that were kept at the end",
        "right %": "of these the right ones",
        "difference": f"from {results.reference} in points, mean over the seeds that both have",
        "95% interval": "over seeds (Student)",
        "seeds and images": "95% interval where the test images might be others, too",
        "wins": "seeds on which the row is better (=: equal)",
        "p": f"sign flips, adjusted for {count(declared, 'comparison')} (Holm)",
    }
    said = ["; ".join(f"{name}: {words}" for name, words in told.items() if name in columns) + "."]
    if not seeds:
        return said
    beside = "Shown, opposite: the 95% interval lies above, below 0, and p is at most 0.05"
    surer = (
        f"where so few seeds can have no such p, the interval of 1 - 5%/{max(1, declared)} (Bonferroni) lies there, too"
    )
    rest = f"Equivalent: the 95% interval lies within ±{delta:g}. Not shown is no proof of equality"
    return [*said, f"{beside}; {surer}. {rest}.", trust(min(seeds))]
