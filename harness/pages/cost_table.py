"""Stability and cost of a comparison's rows, as a table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from sslkit.harness.numbers.frame import Results
from sslkit.harness.plan.arms import is_control

TOLD = {
    "SD": "of accuracy, or mAP, over the seeds",
    "worst seed": "its number",
    "params": "of the student",
    "steps": "a method on frozen features has one, the pass over the images that it learns from",
    "images": "seen in all steps",
    "TFLOPs": "of this stage, measured on one step, times the steps",
    "with start": "the same with the stages that it starts from",
    "equal cost": "steps of finetune+ that cost the same as this stage (--equal-compute trains them)",
    "seconds": "of this stage, mean over the seeds",
    "peak MB": "largest memory, of GPU tensors or on a CPU of the whole process",
}


COUNTED = ("params", "steps", "images", "TFLOPs", "with start", "equal cost")


def note(columns: Collection[str]) -> str:
    """What the columns are."""
    return "; ".join(f"{name}: {words}" for name, words in TOLD.items() if name in columns) + "."


def costs(results: Results) -> pd.DataFrame:
    """One line a condition and row, as words."""
    known, lines = results.about["costs"], []
    for (condition, row), group in results.frame.groupby(["condition", "row"], sort=False):
        good = group[group["error"] == ""]
        lines.append(
            {
                "condition": condition,
                "row": row,
                "SD": f"{good[results.score].std():.2f}" if len(good) > 1 else "",
                "worst seed": f"{good['seed'][good[results.score].idxmin()]}" if len(good) else "",
                **_counted(known.get(condition, {}), str(row)),
                "seconds": f"{good['seconds'].mean():.0f}" if len(good) else "",
                "peak MB": f"{good['memory'].max() / 1e6:.0f}" if good["memory"].notna().any() else "",
            }
        )
    return pd.DataFrame(lines)


def _counted(rows: dict[str, dict[str, Any]], row: str) -> dict[str, str]:
    """What `sslkit.harness.plan.cost` counted, as words."""
    cost = rows.get(row)
    shared = next((c for name, c in rows.items() if name.split(",")[0] == "finetune+"), None)
    control = rows.get(f"finetune+, {row}", shared)
    if cost is None:
        return dict.fromkeys(COUNTED, "")
    flops = cost["flops"] * cost["steps"]
    longer = f"{flops / control['flops']:.0f}" if control and not is_control(row) else ""
    return {
        "params": short(cost["parameters"]),
        "steps": f"{cost['steps']}",
        "images": short(cost["images"] * cost["steps"]),
        "TFLOPs": f"{flops / 1e12:.3g}",
        "with start": f"{(flops + cost['before']) / 1e12:.3g}",
        "equal cost": longer,
    }


def short(number: float) -> str:
    """12345678 -> 12.3M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
