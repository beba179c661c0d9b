"""Stability and cost of a comparison's rows, as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sslkit.harness.numbers.frame import Results
from sslkit.harness.plan.arms import is_control

NOTE = (
    "sd: of top-1 over the seeds; worst seed: its number; parameters: of the student; images: seen in all steps; "
    "TFLOP: counted on a step, times the steps; in all: with the stages that the row starts from; equal finetune+: "
    "steps of finetune+ of this stage's TFLOP; seconds: of this stage, mean; memory: the largest, of GPU tensors or of "
    "the process."
)


def costs(results: Results) -> pd.DataFrame:
    """One line a condition and row, as words."""
    known, lines = results.about["costs"], []
    for (condition, row), group in results.frame.groupby(["condition", "row"], sort=False):
        good = group[group["error"] == ""]
        lines.append(
            {
                "condition": condition,
                "row": row,
                "sd": f"{good['top1'].std():.2f}" if len(good) > 1 else "",
                "worst seed": f"{good['seed'][good['top1'].idxmin()]}" if len(good) else "",
                **_counted(known.get(condition, {}), str(row)),
                "seconds": f"{good['seconds'].mean():.0f}" if len(good) else "",
                "memory MB": f"{good['memory'].max() / 1e6:.0f}" if good["memory"].notna().any() else "",
            }
        )
    return pd.DataFrame(lines)


def _counted(rows: dict[str, dict[str, Any]], row: str) -> dict[str, str]:
    """What `sslkit.harness.plan.cost` counted, as words."""
    cost = rows.get(row)
    shared = next((c for name, c in rows.items() if name.split(",")[0] == "finetune+"), None)
    control = rows.get(f"finetune+, {row}", shared)
    if cost is None:
        return dict.fromkeys(("parameters", "steps", "images", "TFLOP", "in all", "equal finetune+"), "")
    flops = cost["flops"] * cost["steps"]
    longer = f"{flops / control['flops']:.0f}" if control and not is_control(row) else ""
    return {
        "parameters": short(cost["parameters"]),
        "steps": f"{cost['steps']}",
        "images": short(cost["images"] * cost["steps"]),
        "TFLOP": f"{flops / 1e12:.3g}",
        "in all": f"{(flops + cost['before']) / 1e12:.3g}",
        "equal finetune+": longer,
    }


def short(number: float) -> str:
    """12345678 -> 12.3M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
