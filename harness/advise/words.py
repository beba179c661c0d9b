"""The advice in words: which row to use, by which command, how good it is, and what would make it better."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from sslkit.config.duration import duration
from sslkit.harness.advise import frozen
from sslkit.harness.advise.frozen import uses_pool
from sslkit.harness.advise.ladder import Found, Row
from sslkit.harness.advise.numbers import Share, accuracy, difference, doubled
from sslkit.terminal import count

ENOUGH = 0.01  # what twice the labels must be able to bring, to be worth it
RIGHT = 0.99  # accuracy at which there is nothing to gain
OF_TRAINING = (
    "algo",
    "teacher",
    "labeler",
    "mixer",
    "finetune",
    "semi",
    "eval",
    "views",
    "adapt",
)  # not of rows on features
SWITCHES = {"data.duplicates": "--remove-duplicates", "data.tune": "--tune", "data.download": "--download"}
FLAGS = {
    f"{section}{name}": f"--{name.replace('_', '-')}"
    for section, names in {
        "data.": ("labels", "pool", "val", "size", "on_bad_image"),
        "": ("weights", "seed", "threads", "device", "precision"),
    }.items()
    for name in names
} | {"data.name": "--data", "data.dir": "--data-dir", "backbone.name": "--backbone"}


def command(row: Row, request: Mapping[str, Any], stages: str, plugins: tuple[str, ...], runs: str) -> str:
    """The command line that trains a row on all labels.

    Args:
        request: what `advise` was asked for, by key.
        stages: those of the default run.
    """
    words = ["sslkit", "run"]
    on_features = row.name in frozen.ROWS
    for key, value in request.items():
        if on_features and key.partition(".")[0] in OF_TRAINING:
            continue
        if key in SWITCHES:
            words += [SWITCHES[key]]
        elif key in FLAGS:
            words += [FLAGS[key], str(value)]
        else:
            words += ["--set", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    if on_features:
        words += ["--algo", row.name]
    elif row.name == "finetune":
        words += ["--stages", stages.replace(",semi", "")]
    for stage, steps in row.steps.items():
        words += ["--set", f"{stage}.steps={steps}"]
    words += [word for file in plugins for word in ("--plugin", file)]
    words += ["--runs", runs] if runs != "runs" else []
    return shlex.join(words)


def advice(found: Found, run: str) -> dict[str, Any]:
    """All that is said, of JSON values; accuracies and differences are shares.

    Args:
        run: the command of the best row.
    """
    chosen = found.best
    more = doubled(found.curve)
    share = accuracy(chosen.right)
    return {
        "use": chosen.name,
        "command": run,
        "accuracy": _of(share),
        "judged": _judged(chosen),
        "labels": found.labels,
        "pool": found.pool,
        "rows": [_row(row, found) for row in found.rows],
        "curve": [
            {"labels": size, "accuracy": float(np.nanmean(right))} for size, right in sorted(found.curve.items())
        ],
        "twice_the_labels": _of(more) if more else None,
        "pool_helps": [pair for pair in (_pair(found, *names) for names in PAIRS) if pair],
        "stop": stop(share, more),
        "remarks": found.remarks,
    }


PAIRS = (("label_spreading", "linear"), ("semi", "finetune"))  # rows that differ in the pool, and in little else


def _of(share: Share) -> dict[str, float]:
    return {"value": share.value, "low": share.low, "high": share.high}


def _judged(row: Row) -> int:
    return int((~np.isnan(row.right)).sum())


def _row(row: Row, found: Found) -> dict[str, Any]:
    reference = found.beside(row)
    return {
        "row": row.name,
        "accuracy": _of(accuracy(row.right)),
        "folds": row.folds,
        "pool": uses_pool(row.name) if row.name in frozen.ROWS else row.name == "semi",
        "seconds": row.seconds,
        "steps": dict(row.steps),
        "beside_linear": _of(difference(row.right, reference.right)) if reference and row.name != "linear" else None,
    }


def _pair(found: Found, with_pool: str, without: str) -> dict[str, Any] | None:
    rows = {row.name: row for row in found.rows}
    if not {with_pool, without} <= rows.keys():
        return None
    gained = difference(rows[with_pool].right, rows[without].right)
    return {"row": with_pool, "beside": without, **_of(gained), "verdict": _verdict(gained)}


def _verdict(gained: Share) -> str:
    return "helps" if gained.low > 0 else "harms" if gained.high < 0 else "no difference shown"


def stop(share: Share, more: Share | None) -> str:
    """When to stop labelling."""
    if share.low >= RIGHT:
        return f"Stop here: even the lower end of the interval is {100 * share.low:.1f}% right."
    if more is None:
        return "When to stop cannot be said: the labels are too few, or there was no time, for a curve of smaller sets."
    if more.high < ENOUGH:
        return "Stop labelling images of this kind: even at the upper end twice as many bring less than 1 point."
    return (
        f"Go on labelling while the upper end of what twice the labels bring, {_points(more.high)} now, is above +1 "
        "point."
    )


def _took(seconds: float) -> str:
    return "less than 1 s" if seconds < 1 else f"about {duration(seconds)}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _range(share: Mapping[str, float], sign: bool = False) -> str:
    return " to ".join(f"{100 * share[end]:{'+' if sign else ''}.1f}" for end in ("low", "high"))


def tables(report: Mapping[str, Any]) -> Iterator[Table | Text]:
    """The advice for a terminal; the command stands on a line of its own, so that it can be copied."""
    judged = count(report["judged"], "labelled image")
    table = Table(title=f"judged on {judged}", title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in ("method", "pool", "folds", "right %", "95% interval", "beside linear", "time"):
        table.add_column(name, justify="left" if name in ("method", "pool") else "right", no_wrap=True)
    for row in report["rows"]:
        d = row["beside_linear"]
        table.add_row(
            row["row"], "used" if row["pool"] else "", str(row["folds"]),
            f"{100 * row['accuracy']['value']:.1f}", _range(row["accuracy"]),
            f"{_points(d['value'])} ({_range(d, True)})" if d else "",
            _took(row["seconds"]), style="bold" if row["row"] == report["use"] else None,
        )  # fmt: skip
    yield table
    yield Text(
        "right %: each image is classified by a fit to the other folds, with fewer labels than a run has, so a run is "
        "about as good or better; 95% interval: widened for the choice among the methods, for images like the labelled "
        "ones, in which classes are as frequent as among these; beside linear: points more than linear by the same "
        "folds, with a 95% interval; time: what a run of it takes now."
    )
    yield from (Text(f"{remark[0].upper()}{remark[1:]}.") for remark in report["remarks"])
    yield Text(f"Use {report['use']}: {_sentence(report)}", style="bold")
    yield Text(f"\n{report['command']}\n")
    yield Text(_more(report))
    for pair in report["pool_helps"]:
        yield Text(
            f"Images without a label, {pair['row']} beside {pair['beside']}: {pair['verdict']}, "
            f"{_points(pair['value'])} points (95% interval {_range(pair, True)})."
        )
    yield Text(report["stop"])


def _sentence(report: Mapping[str, Any]) -> str:
    value = 100 * report["accuracy"]["value"]
    seconds = next(row["seconds"] for row in report["rows"] if row["row"] == report["use"])
    return (
        f"{value:.1f}% right (95% interval {_range(report['accuracy'])}), of "
        f"{count(report['judged'], 'labelled image')}, each by a fit without it; it takes {_took(seconds)}."
    )


def _more(report: Mapping[str, Any]) -> str:
    more = report["twice_the_labels"]
    if more is None:
        return "What twice the labels would bring is not known: smaller sets of labels were not judged."
    points = ", ".join(f"{100 * p['accuracy']:.1f}% with {p['labels']:.0f}" for p in report["curve"])
    return (
        f"Twice the labels would bring linear about {_points(more['value'])} points (95% interval "
        f"{_range(more, True)}), if the error goes on falling as a power of the number of labels: {points}."
    )
