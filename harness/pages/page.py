"""One self-contained HTML page of a comparison: verdicts, tables, figures, images, differences, commands.

Jinja escapes all that comes from names, and the page forbids scripts and whatever lies outside of it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sslkit.errors import UserError, one_line
from sslkit.harness import figures
from sslkit.harness.history import SHARES, history
from sslkit.harness.numbers.answers import Answer
from sslkit.harness.numbers.classes import classes
from sslkit.harness.numbers.frame import TITLES, Results, results
from sslkit.harness.numbers.samples import Samples, samples
from sslkit.harness.numbers.statistics import Difference
from sslkit.harness.pages.paper import NOTE as PAPER
from sslkit.harness.pages.said import HEADINGS, Said, said
from sslkit.record.results import read_results
from sslkit.store import read_json
from sslkit.version import __version__

LABELS = "data.labels"
NONE = "\N{EN DASH}"  # the arm's parts do not have the key


@dataclass(frozen=True)
class Group:
    """What is shown of one condition."""

    name: str
    table: pd.DataFrame
    forest: Markup | None  # None where no row has a seed in common with the reference
    curves: list[Markup]


def page(folder: Path, delta: float = 1.0) -> str:
    """The page of a comparison.

    Args:
        folder: of the comparison.
        delta: points within which arms are equivalent.

    Raises:
        UserError: no such comparison, or it is damaged.
    """
    known = results(folder)
    told = said(known, delta)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    shown = {
        "name": folder.name,
        "about": known.about["comparison"],
        "version": __version__,
        "said": told,
        "paper_note": PAPER,
        "delta": delta,
        "groups": list(_groups(known, told, delta)),
        "efficiency": list(_efficiency(known)),
        "classes": list(classes(known)),
        "samples": _samples(known),
        "differences": configurations(known),
        **_commands(known),
    }
    return environment.get_template("page.html").render(shown)


def _groups(known: Results, told: Said, delta: float) -> Iterator[Group]:
    logs = history(known.frame, known.runs)
    rows = [str(row) for row in known.frame["row"].unique()]
    for number, (condition, table) in enumerate(told.summary.groupby("condition", sort=False)):
        lines, forest = differences([a for a in told.found if a.condition == condition]), None
        if len(lines):
            title = "Differences by seed, mean and 95% interval"
            made = figures.paired_differences(lines, rows, known.reference, title, delta)
            forest = Markup(figures.svg(made, f"f{number}", f"Differences from {known.reference}, {condition}"))
        mine = logs[logs["condition"] == condition]
        curves = [
            _curve(group, str(quantity), rows, known.reference, f"c{number}-{place}")
            for place, (quantity, group) in enumerate(mine.groupby("quantity", sort=False))
        ]
        yield Group(str(condition), table.drop(columns="condition").rename(columns=HEADINGS), forest, curves)


def _curve(group: pd.DataFrame, quantity: str, rows: list[str], reference: str, name: str) -> Markup:
    title = SHARES.get(quantity, f"loss: {quantity}")
    made = figures.curves(group, rows, reference, title, share=quantity in SHARES)
    return Markup(figures.svg(made, name, title))


def differences(found: list[Answer]) -> pd.DataFrame:
    """What `figures.paired_differences` shows of the rows that have a seed in common with their reference."""
    nan = float("nan")
    few = Difference(mean=nan, low=nan, high=nan, n=0, wins=0, p=None)
    shown = [(a.row, a.values, a.found or few) for a in found if a.values]
    lines = [(row, values, d.mean, d.low, d.high) for row, values, d in shown]
    return pd.DataFrame(lines, columns=["row", "differences", "mean", "low", "high"])


def _efficiency(known: Results) -> Iterator[Markup]:
    """A figure for each set of conditions that differ in the number of labels."""
    others = {
        condition: ", ".join(str(value) for key, value in keys.items() if key != LABELS)
        for condition, keys in known.about["comparison"]["conditions"].items()
        if LABELS in keys
    }
    good = known.good[known.good["condition"].isin(others)]
    images = good["condition"].map(known.about["labeled"])
    good = good.assign(images=images, others=good["condition"].map(others), value=good[known.score])
    rows = [str(row) for row in known.frame["row"].unique()]
    for number, (name, group) in enumerate(good.groupby("others", sort=False)):
        if group["images"].nunique() > 1:
            title = f"Accuracy against labels{f', {name}' if name else ''}"
            made = figures.label_efficiency(group, rows, known.reference, title, TITLES[known.score])
            yield Markup(figures.svg(made, f"e{number}", title))


def _samples(known: Results) -> tuple[str, int, Samples] | str:
    """Condition, seed and samples of the first one of which there are any, or why there are none."""
    for (condition, seed), group in known.good.groupby(["condition", "seed"], sort=False):
        for done in known.about["runs"]:
            if (done["condition"], done["seed"], bool(done["error"])) == (condition, seed, False):
                try:
                    keys = dict(zip(group["row"], group["key"], strict=True))
                    return str(condition), int(seed), samples(known.runs / done["run"], keys)
                except UserError as error:
                    return str(error)
                except Exception as error:  # a data set's own mistake, or a damaged file, is a sentence
                    return one_line(error)
    return "no run has succeeded"


def configurations(known: Results) -> list[tuple[list[str], pd.DataFrame]]:
    """Conditions with the same differences, and these: a line a key whose value is not the first arm's everywhere.

    Columns are the arms; the controls are the same in all of them.
    """
    flat: dict[str, dict[str, dict[str, Any]]] = {}
    for done in known.about["runs"]:
        if not done["error"] and done["arm"] not in flat.setdefault(done["condition"], {}):
            try:
                config = read_results(known.runs / done["run"])["config"]
            except (UserError, KeyError):
                continue
            flat[done["condition"]][done["arm"]] = {k: v for k, v in config.items() if k != "seed"}
    found: dict[str, tuple[list[str], pd.DataFrame]] = {}
    for condition, arms in flat.items():
        apart = _apart(arms)
        found.setdefault(apart.to_json(), ([], apart))[0].append(condition)
    return list(found.values())


def _apart(arms: dict[str, dict[str, Any]]) -> pd.DataFrame:
    keys = dict.fromkeys(key for config in arms.values() for key in config)
    values = {key: [_word(config, key) for config in arms.values()] for key in keys}
    return pd.DataFrame.from_dict(
        {key: words for key, words in values.items() if len(set(words)) > 1}, orient="index", columns=list(arms)
    )


def _word(config: dict[str, Any], key: str) -> str:
    if key not in config:
        return NONE
    value = "auto" if config[key] is None else config[key]
    return value if isinstance(value, str) else json.dumps(value)


def _commands(known: Results) -> dict[str, Any]:
    """How all of it was called for, and how each run is called for alone."""
    asked: dict[str, None] = {}
    runs = []
    for done in known.about["runs"]:
        place = f"{done['condition']}, {done['arm']}, seed {done['seed']}"
        if done["error"]:
            runs.append((place, f"no result: {done['error']}"))
            continue
        run = known.runs / done["run"]
        try:
            about = read_json(run / "run.json")
            asked[_call(about["command"])] = None
            plugins = [word for file in about["plugins"] for word in ("--plugin", file)]
        except (UserError, KeyError, TypeError) as error:
            runs.append((place, f"unknown: {error}"))
            continue
        call = ["sslkit", "run", "--config", str(run / "config.toml"), *plugins, "--runs", str(known.runs)]
        runs.append((place, shlex.join(call)))
    return {"asked": list(asked), "runs": runs}


def _call(words: list[str]) -> str:
    program = Path(words[0]).name
    return shlex.join(["sslkit" if program in ("__main__.py", "cli.py") else program, *words[1:]])
