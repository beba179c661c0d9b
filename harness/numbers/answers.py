"""What a comparison's differences say: every row beside its reference, a verdict for each, notes for their tables."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from sslkit.errors import UserError, listed
from sslkit.harness.numbers.frame import Results, predictions, right
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
    identical: bool = False  # both predict the same in every seed, to the bit

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
    both = _paired(mine, theirs)
    values = (both[results.score] - both[f"{results.score}_r"]).tolist()
    identical = bool(values) and not any(values) and _identical(results, zip(both["key"], both["key_r"], strict=True))
    if len(both) < SEEDS:
        return Answer(condition, row, reference, values, comparisons, identical=identical)
    try:
        stacked = right(results.runs, [*both["key"], *both["key_r"]])
        other = "several labels an image" if results.score == "map" else "other images by seed"
        again = other if stacked is None else crossed(*np.split(stacked, 2))
    except UserError:  # they take this interval with them, and nothing else
        again = "predictions are damaged"
    return Answer(condition, row, reference, values, comparisons, differ(values, comparisons), again, identical)


def also(results: Results, answer: Answer, column: str) -> str:
    """The mean difference of another column by seed, with its 95% interval; "" where there are too few seeds."""
    group = results.good[results.good["condition"] == answer.condition]
    both = _paired(*(group[group["row"] == name] for name in (answer.row, answer.reference)))
    values = (both[column] - both[f"{column}_r"]).dropna().tolist()
    if len(values) < SEEDS:
        return ""
    found = differ(values, 0)
    return f"{found.mean:+.1f} ({interval(found.low, found.high)})"


def _paired(mine: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """The lines of two rows on their common seeds."""
    return pd.merge(mine, theirs, on="seed", suffixes=("", "_r")).sort_values("seed")


def _identical(results: Results, keys: Iterable[tuple[str, str]]) -> bool:
    """Whether both stages of each pair have the same predictions."""
    with contextlib.suppress(UserError):  # damaged ones are named elsewhere
        return all(torch.equal(*(predictions(results.runs, key)["averaged"] for key in pair)) for pair in keys)
    return False


def equals(results: Results, found: list[Answer]) -> list[str]:
    """Which arms have the same predictions in every common seed, besides those that equal the reference."""
    said, known = [], {(a.condition, a.row) for a in found if a.identical or is_control(a.row)}
    for condition, group in results.good.groupby("condition", sort=False):
        rows = {str(row): mine for row, mine in group.groupby("row", sort=False) if (condition, row) not in known}
        rows.pop(results.reference, None)
        alike: list[list[str]] = []
        for row, mine in rows.items():
            same = next((names for names in alike if _same(results, mine, rows[names[0]])), None)
            if same is None:
                alike.append([row])
            else:
                same.append(row)
        for names in alike:
            if len(names) > 1:
                said.append(f"{condition}: {listed(names)} have the same predictions in every common seed.")
    return said


def _same(results: Results, mine: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    both = _paired(mine, theirs)
    equal = len(both) > 0 and bool((both[results.score] == both[f"{results.score}_r"]).all())
    return equal and _identical(results, zip(both["key"], both["key_r"], strict=True))


def sentences(found: list[Answer], delta: float = 1.0) -> list[str]:
    """A verdict for each row."""
    said = []
    for a in found:
        if a.identical:
            said.append(f"{a.condition}: {a.row} and {a.reference} are identical: the same predictions in every seed.")
            continue
        if a.found is None:
            few = f"{count(a.n, 'common seed')}, too few for an interval"
            said.append(f"{a.condition}: {a.row} - {a.reference}: {few}.")
            continue
        d, p = a.found, ""
        if d.p_adjusted is not None:
            p = f", adjusted p = {d.p_adjusted:.2g}"
        elif a.comparisons:
            p = f", {seeds_needed(a.comparisons)} seeds needed for p <= 0.05"
        said.append(
            f"{a.condition}: {a.row} - {a.reference} = {d.mean:+.1f} points "
            f"(95% CI {interval(d.low, d.high)}, n = {d.n}{p}): "
            f"{verdict(d, delta) if a.comparisons else 'not tested'}."
        )
    return said


def numbers(answer: Answer, delta: float = 1.0) -> dict[str, Any]:
    """The same of one row for programs, in points; what there are too few seeds for is null."""
    d = answer.found
    names = ("mean", "low", "high", "wins", "ties", "p_adjusted")
    told = "too few" if d is None else verdict(d, delta) if answer.comparisons else "not tested"
    return {
        "condition": answer.condition,
        "row": answer.row,
        "reference": answer.reference,
        "values": answer.values,
        "n": answer.n,
        "tested": bool(answer.comparisons),
        "identical": answer.identical,
        **{name: getattr(d, name, None) for name in names},
        "seeds_needed": seeds_needed(answer.comparisons) if answer.comparisons else None,
        "verdict": told,
    }


def interval(low: float, high: float) -> str:
    """An interval in points; an end beside 0 has the decimals that tell on which side it lies."""
    return " to ".join(f"{x:+.2f}" if x and f"{abs(x):.1f}" == "0.0" else f"{x:+.1f}" for x in (low, high))


def notes(results: Results, found: list[Answer], columns: Collection[str], delta: float = 1.0) -> list[str]:
    """What the columns of a summary are; where there are intervals also what the verdicts are, and their coverage."""
    seeds, declared = [a.n for a in found if a.found], max((a.comparisons for a in found), default=0)
    told = {
        "top-1 %": "test accuracy of the averaged weights (EMA) at the last step, mean ± SD over n seeds",
        "mAP %": "mean over classes of the test's average precision, of the averaged weights (EMA) at the last step, "
        "mean ± SD over n seeds",
        "worst": "that of the worst seed",
        "flags": "what went wrong in training, in how many seeds",
        "kept %": "pseudo-labels above the threshold, mean over the last tenth of the steps",
        "correct %": "accuracy of the kept pseudo-labels, by the hidden labels",
        "unknown %": "of no known class among the kept pseudo-labels; these do not enter correct %",
        "C+1 %": "mean recall of the known classes and of the unknown ones, which are right where they are rejected",
        "AUROC %": "unknown test images against known ones by the method's score, else by 1 - confidence",
        "C+1 % difference": "as difference, with its 95% CI; no verdict is by it or by that of AUROC",
        "difference": f"from {results.reference} in points, paired by seed, mean",
        "95% CI": "paired t interval over seeds, not adjusted for the number of comparisons",
        "CI, seeds and images": "95% CI where the test images are a sample, too",
        "wins": "seeds on which the row is better (=: equal)",
        "adjusted p": f"exact paired sign-flip test, two-sided, by Holm's method over {count(declared, 'comparison')}",
    }
    said = ["; ".join(f"{name}: {words}" for name, words in told.items() if name in columns) + "."]
    if not seeds:
        return said
    level = 100 * (1 - 0.05 / max(1, declared))
    verdicts = (
        "Verdicts, the first that applies: better (worse): the 95% CI lies above (below) 0 and p of the exact paired "
        f"sign-flip test, adjusted by Holm over {count(declared, 'comparison')}, is at most 0.05, or, where so few "
        f"seeds cannot reach that, the {level:.4g}% CI (Bonferroni) excludes 0; equivalent: the 95% CI lies within "
        f"±{delta:g} points (--delta); not significant, which is no evidence of equality."
    )
    return [*said, verdicts, trust(min(seeds))]
