"""The tables of a run: what it will do, and what each stage gave, with the sentences beneath."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sslkit.config.duration import duration
from sslkit.training.spec import Spec
from sslkit.training.timing import Seconds

FEW = 100  # validation images from which a temperature can be trusted


def plan_table(rows: Sequence[tuple[str, Spec, Seconds | None]]) -> Table:
    """What a run will do: (label, specification, seconds of a step where it was timed)."""
    table = Table(title="plan", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("stage", "steps", "images a step", "labelled passes", "pool passes", "views' share", "expected time"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    if rows[0][0] != "pretrain":
        table.add_row("pretrain", "skipped")
    for label, spec, seconds in rows:
        steps, batch = spec.training["steps"], spec.training["batch"]
        labeled, pool = sum(spec.data["counts"]), spec.data.get("pool", [0])[0]
        drawn = {
            "labeled": (steps * batch / labeled, None),
            "unlabeled": (None, steps * batch * spec.training.get("mu", 0) / pool if pool else None),
            "all": (steps * batch / (labeled + pool),) * 2,
        }
        both = zip(*(drawn[stream] for stream in spec.views), strict=True)
        passes = [next((f"{p:.1f}" for p in column if p is not None), "") for column in both]
        share = f"{seconds.views / seconds.step:.1%}" if seconds else ""
        time = duration(seconds.step * steps) if seconds else "found in the store, or gone on with"
        table.add_row(label, str(steps), str(spec.images_a_step), *passes, share, time)
    timed = [seconds.step * spec.training["steps"] for _, spec, seconds in rows if seconds]
    if timed:
        table.add_row("all", *[""] * 5, duration(sum(timed)), style="bold")
    return table


def results_table(results: dict[str, Any]) -> list[Table | Text]:
    """The table of stages and the sentences beneath it."""
    rows = results["stages"]
    top5 = any("top5" in n for row in rows for n in row["networks"].values())
    table = Table(title=escape(results["run"]), title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    names = ["stage", "network", "top-1 %"] + ["top-5 %"] * top5 + ["F1", "NLL", "ECE", "kept %", "right %", "time"]
    for name in names:
        table.add_column(name, justify="left" if name in ("stage", "network") else "right", no_wrap=True)
    if results["pretrain"] == "skipped":
        table.add_row("pretrain", "skipped")
    for row in rows:
        for i, cells in enumerate(_cells(row, top5)):
            table.add_row(*cells, style="bold" if i == 0 else None)
    return [table, *map(Text, _sentences(results))]


def _cells(row: dict[str, Any], top5: bool) -> Iterator[list[str]]:
    """The lines of one stage, a network each; the first also says what holds for the stage."""
    quality = row.get("pseudo_labels") or {}
    networks = dict(row["networks"])
    if row.get("best"):
        networks["best/val"] = row["best"]
    time = duration(row["seconds"]) if row["new"] else "stored"
    ends = [[_percent(quality.get("coverage")), _percent(quality.get("precision")), time]]
    if not networks:
        loss = ", ".join(f"{value:.3f}" for value in row["losses"].values())
        yield [row["stage"], f"loss {loss}", *[""] * (4 + top5), *ends.pop()]
    for name, found in networks.items():
        cells = [_percent(found.get(k), 1) for k in (("top1", "top5") if top5 else ("top1",))]
        cells += [f"{found['macro_f1']:.3f}", f"{found['nll']:.2f}", f"{found['ece']:.3f}"]
        yield [row["stage"] if ends else "", name, *cells, *(ends.pop() if ends else ["", "", ""])]


def _sentences(results: dict[str, Any]) -> list[str]:
    labels = [row["stage"] for row in results["stages"]]
    found = []
    if "pretrain" in labels and results["stages"][0]["networks"]:
        found.append("pretrain is measured on the test images of its own data set.")
    if "semi" in labels:
        found.append(
            f"semi is {results['stages'][-1]['method']}; finetune+ is as many steps from the same start, labels only."
        )
    if results["headline"]["top1"] is not None:
        gains = ", ".join(f"{name} = {100 * gain:+.1f}" for name, gain in results["gains"].items())
        points = f" Points: {gains} (one seed: no claim)." if gains else ""
        found.append(f"Headline: the averaged network at the last step{_interval(results['headline'])}.{points}")
    if "semi" in labels and "finetune+" not in labels:
        found.append("No control: --control trains finetune+, as many steps on the labels only.")
    best = {row["stage"]: row["best"]["step"] for row in results["stages"] if row.get("best")}
    if best:
        steps = ", ".join(f"{step} of {name}" for name, step in best.items())
        found.append(f"best/val: the averaged network at the step that was best on the validation part ({steps}).")
    if results["stages"][-1].get("calibration"):
        found.append(_calibrated(results["stages"][-1]))
    return found + [f"Warning: {sentence}." for sentence in results.get("remarks", ())]


def _interval(headline: dict[str, Any]) -> str:
    if "interval" not in headline:
        return ""
    low, high = headline["interval"]
    share = f"{_percent(headline['top1'], 1)}% of {headline['images']} test images"
    return f", {share} (95% interval {100 * low:.1f} to {100 * high:.1f})"


def _calibrated(row: dict[str, Any]) -> str:
    """What the temperature gives on the test part, which it was not fitted on."""
    found, before = row["calibration"], row["networks"]["averaged"]
    if not found["errors"]:
        return f"Calibration: all {found['images']} validation images are right, which fixes no temperature."
    return (
        f"Calibration: temperature {found['temperature']:.2f}, fitted on {found['images']} validation images; on the "
        f"test NLL {before['nll']:.3f} -> {found['nll']:.3f}, ECE {before['ece']:.3f} -> {found['ece']:.3f} "
        f"(predict and export --calibrated).{' So few make a rough guess.' if found['images'] < FEW else ''}"
    )


def _percent(share: float | None, digits: int = 0) -> str:
    return "" if share is None or math.isnan(share) else f"{100 * share:.{digits}f}"
