"""The paper's table: Model | Params | Method | labels, our measured values and published ones in columns of their own.

What was not run here says "not run": a published value never stands in for it, nor one of ours for a published one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from sslkit.harness.numbers.frame import Results, score_of
from sslkit.harness.pages.cost_table import short
from sslkit.harness.plan.survey import Planned

FILE = Path(__file__).parent / "published.toml"
PUBLISHED = ("1%", "10%", "100%")
NOT_RUN = "not run"
NOTE = (
    "Our columns: averaged network at the last step, mean ± sd over the seeds; gain: mean difference from finetune by "
    "seed. Published: on ImageNet, in another protocol, so not to be compared with columns of other data or labels."
)


def paper(results: Results) -> pd.DataFrame:
    """The table as words: our rows, then the published ones that were not run here."""
    about, frame = results.about, results.frame
    told = tomllib.loads(FILE.read_text("utf-8"))
    columns = list(dict.fromkeys(str(keys["labels"]) for keys in _models(about).values()))
    rows = {(row.get("backbone", row["model"]), row.get("start", ""), row["method"]): row for row in told["rows"]}
    ours = dict(_ours(about, frame, columns))
    lines = [line | _published(rows.get(key, {}), told) for key, line in ours.items()]
    for row in (row for key, row in rows.items() if key not in ours):
        line = {"Model": row["model"], "Params": row.get("params", ""), "Method": row["method"]}
        lines.append(line | dict.fromkeys(columns, NOT_RUN) | _published(row, told))
    made = pd.DataFrame(lines).fillna("")
    gains = [f"gain {labels}" for labels in columns if f"gain {labels}" in made]
    first = ["Model", "Params", "Method", *columns, *gains]
    return made[[*first, *(name for name in made if name not in first)]]


def sources() -> list[str]:
    """Where the published figures come from."""
    return list(tomllib.loads(FILE.read_text("utf-8"))["sources"].values())


def _published(row: dict[str, Any], told: dict[str, Any]) -> dict[str, str]:
    values = {f"published {labels}": f"{row[labels]:.1f}" if labels in row else "" for labels in PUBLISHED}
    return values | {"protocol": told["protocols"][row["protocol"]] if row else "", "source": row.get("source", "")}


def _models(about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Condition -> backbone, labels, data and start of its runs."""
    found = {}
    for condition, arms in about["comparison"]["requests"].items():
        keys = next(iter(arms.values()))
        started = bool(keys.get("weights")) or "pretrain" in str(keys.get("stages", ""))
        found[condition] = {
            "backbone": str(keys.get("backbone.name", "auto")),
            "labels": str(keys.get("data.labels", "10/class")),
            "data": str(keys.get("data.name", "digits")).partition(":")[0],
            "start": "MAE" if started else "scratch",
        }
    return found


def _ours(
    about: dict[str, Any], frame: pd.DataFrame, columns: list[str]
) -> Iterator[tuple[tuple[str, str, str], dict[str, str]]]:
    """Each line of ours with the key of the published row that it repeats: network, start and method, on ImageNet."""
    models = _models(about)
    told = pd.DataFrame([models[str(condition)] for condition in frame["condition"]], index=frame.index)
    for (backbone, data, start), model in frame.join(told).groupby(["backbone", "data", "start"], sort=False):
        for row, group in model.groupby("row", sort=False):
            line = {"Model": f"{backbone}, {data}", "Params": _parameters(about, group), "Method": str(row)}
            line |= dict.fromkeys(columns, "")
            for labels, all_rows in model.groupby("labels", sort=False):
                mine = group[group["labels"] == labels]
                line |= {str(labels): _value(mine)} | _gain(mine, all_rows, str(labels))
            key = backbone if data == "imagenet" else f"{backbone}, {data}"
            yield (str(key), str(start), str(row)), line


def _parameters(about: dict[str, Any], group: pd.DataFrame) -> str:
    costs = (
        about["costs"].get(condition, {}).get(row)
        for condition, row in zip(group["condition"], group["row"], strict=True)
    )
    return next((short(cost["parameters"]) for cost in costs if cost), "")


def _value(group: pd.DataFrame) -> str:
    good = group[group["error"] == ""][score_of(group)]
    if not len(good):
        return "" if not len(group) else Planned.error if Planned.error in set(group["error"]) else NOT_RUN
    some = f" ({len(good)} of {len(group)} seeds)" if len(good) < len(group) else ""
    return f"{good.mean():.1f}" + (f" ± {good.std():.1f}" if len(good) > 1 else "") + some


def _gain(group: pd.DataFrame, condition: pd.DataFrame, labels: str) -> dict[str, str]:
    """The gain over finetune, of other rows; nothing where there is none."""
    both = pd.merge(group, condition[condition["row"] == "finetune"], on="seed", suffixes=("", "_f"))
    name = score_of(group)
    gains = (both[name] - both[f"{name}_f"]).dropna()
    if not len(gains) or (group["row"] == "finetune").all():
        return {}
    return {f"gain {labels}": f"{gains.mean():+.1f}"}
