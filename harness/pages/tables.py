"""The table of a comparison as words: a line a row, its difference from the reference, and what that shows."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from sslkit.harness.numbers.answers import Answer, also, interval
from sslkit.harness.numbers.frame import TITLES, Results
from sslkit.harness.numbers.statistics import seeds_needed, smallest_p, verdict
from sslkit.harness.plan.survey import Planned
from sslkit.terminal import count

NOT_YET = Planned.error
OPEN = {"C+1 %": "open_top1", "AUROC %": "auroc"}
IDENTICAL = "identical: the same predictions"


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
            TITLES[results.score]: _mean(good[results.score], group["error"]),
            "worst": f"{good[results.score].min():.1f}" if len(good) else "",
            "flags": _flags(group.loc[group["error"] != NOT_YET, "flags"]),
            "kept %": _percent(good["coverage"]),
            "correct %": _percent(good["precision"]),
            **_opened(results, good, known.get((condition, row))),
            **_against(known.get((condition, row)), delta),
            "failed": "; ".join(sorted({*group["error"]} - {"", NOT_YET})),
        }
        lines.append(line)
    made = pd.DataFrame(lines)
    return made.drop(columns=[name for name in ("flags", "failed") if not made[name].any()])


def _opened(results: Results, good: pd.DataFrame, answer: Answer | None) -> dict[str, str]:
    """What is measured where the data have images of no known class."""
    if "auroc" not in good:
        return {}
    found = {"unknown %": _percent(good["unknown"])}
    for name, column in OPEN.items():
        known = good[column].dropna()  # another condition may have no such images
        found[name] = _mean(known, good["error"]) if len(known) else ""
        found[f"{name} difference"] = "" if answer is None else also(results, answer, column)
    return found


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
    empty = dict.fromkeys(("difference", "95% CI", "CI, seeds and images", "wins", "adjusted p", "verdict"), "")
    if answer is None:
        return empty
    if answer.found is None:
        few = f"{count(answer.n, 'seed')}: values only"
        return empty | {"verdict": IDENTICAL if answer.identical else few}
    d, both = answer.found, answer.crossed
    few = f"≥ {smallest_p(d.n):.2g} ({seeds_needed(answer.comparisons)} seeds needed)" if answer.comparisons else ""
    return {
        "difference": f"{d.mean:+.1f}",
        "95% CI": interval(d.low, d.high),
        "CI, seeds and images": both if isinstance(both, str) else interval(*both),
        "wins": f"{d.wins} of {d.n}" + (f" ({d.ties} =)" if d.ties else ""),
        "adjusted p": few if d.p_adjusted is None else f"{d.p_adjusted:.2g}",
        "verdict": IDENTICAL if answer.identical else verdict(d, delta) if answer.comparisons else "not tested",
    }


def mixed(known: Results) -> list[str]:
    """That stages were trained by different versions of sslkit or torch; the frame says which."""
    found = sorted(known.good["versions"].unique())
    return [f"Stages were trained by different versions: {'; '.join(found)}."] if len(found) > 1 else []
