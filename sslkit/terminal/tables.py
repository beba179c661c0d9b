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
from sslkit.terminal import by_class
from sslkit.training.evaluation import primary
from sslkit.training.spec import Spec
from sslkit.training.timing import Seconds

SETS = ("mAP %", "F1 micro", "F1 macro", "NLL")  # where images have several labels
FEW = 100  # validation images from which a temperature can be trusted


def plan_table(rows: Sequence[tuple[str, Spec, Seconds | None]]) -> Table:
    """What a run will do: (label, specification, seconds of a step where it was timed)."""
    table = Table(title="training plan", title_justify="left", box=box.SIMPLE_HEAD)
    epochs = ("labelled\nepochs", "unlabelled\nepochs")
    names = ("stage", "steps", "batch size", *epochs, "augment.\ntime", "expected\ntime")
    for name in names:
        longest = max(map(len, name.split()))  # a heading may be folded, and no word of it cut
        table.add_column(name, justify="left" if name == "stage" else "right", min_width=longest)
    if rows[0][0] not in ("pretrain", "probe"):
        table.add_row("pretrain", "skipped")
    for label, spec, seconds in rows:
        if spec.fitted:
            table.add_row(label, "none", "frozen")
            continue
        steps, batch = spec.training["steps"], spec.training["batch"]
        labeled, pool = sum(spec.data["counts"]), spec.data.get("pool", [0])[0]
        more = batch * spec.training.get("mu", 0)
        drawn = {
            "labeled": (steps * batch / labeled if labeled else None, None),
            "balanced": (None, None),
            "unlabeled": (None, steps * more / pool if pool else None),
            "all": tuple(steps * batch / (labeled + pool) if part else None for part in (labeled, pool)),
        }
        both = zip(*(drawn[stream] for stream in spec.views), strict=True)
        passes = [next((f"{p:.1f}" for p in column if p is not None), "") for column in both]
        share = f"{seconds.views / seconds.step:.1%}" if seconds else ""
        time = duration(seconds.step * steps) if seconds else "stored, or gone on with"
        size = f"{batch} + {more}" if "unlabeled" in spec.views else f"{batch}"
        table.add_row(label, str(steps), size, *passes, share, time)
    timed = [seconds.step * spec.training["steps"] for _, spec, seconds in rows if seconds]
    if any(seconds and seconds.before for _, _, seconds in rows):
        table.caption, table.caption_justify = "times of steps are those that an earlier run measured here", "left"
    if timed:
        table.add_row("total", *[""] * 5, duration(sum(timed)), style="bold")
    return table


def plan_rows(rows: Sequence[tuple[str, Spec, Seconds | None]]) -> list[dict[str, Any]]:
    """The same for programs: stage, steps, images a step, and seconds where they are known."""
    told = [(label, None if spec.fitted else int(spec.training["steps"]), spec, time) for label, spec, time in rows]
    return [
        {
            "stage": label,
            "steps": steps,
            "images_a_step": None if spec.fitted else spec.images_a_step,
            "seconds": time.step * steps if time and steps else None,
        }
        for label, steps, spec, time in told
    ]


def results_table(results: dict[str, Any]) -> list[Table | Text]:
    """The table of stages and the sentences beneath it."""
    rows = results["stages"]
    opened = _measured(rows, "auroc")
    sets = _measured(rows, "map")
    top5 = not opened and _measured(rows, "top5")
    table = Table(title=escape(results["run"]), title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    scores = (
        [*SETS]
        if sets
        else ["top-1 %", *(["C+1 %", "AUROC %"] if opened else ["top-5 %"] * top5 + ["F1", "NLL", "ECE"])]
    )
    names = ["stage", "weights", *scores, "kept %", "correct %", *["unknown %"] * opened, "time"]
    for name in names:
        table.add_column(name, justify="left" if name in ("stage", "weights") else "right", no_wrap=True)
    if results["pretrain"] == "skipped" and not rows[0].get("frozen"):
        table.add_row("pretrain", "skipped")
    for row in rows:
        for i, cells in enumerate(_cells(row, top5, opened, sets)):
            table.add_row(*cells, style="bold" if i == 0 else None)
    return [table, *map(Text, sentences(results))]


def _measured(rows: Sequence[dict[str, Any]], score: str) -> bool:
    """Whether a network has this score: auroc where the test has images of no known class, map with several labels."""
    return any(score in network for row in rows for network in row["networks"].values())


def _cells(row: dict[str, Any], top5: bool, opened: bool, sets: bool) -> Iterator[list[str]]:
    """The lines of one stage, a network each; the first also says what holds for the stage.

    Args:
        top5, opened, sets: which scores there are: the five likeliest classes, images of no class, several labels.
    """
    quality = row.get("pseudo_labels") or {}
    networks = {"frozen" if row.get("frozen") else name: found for name, found in row["networks"].items()}
    if row.get("best") and networks:
        networks["best"] = row["best"]
    time = duration(row["seconds"]) if row["new"] else "stored"
    shares = ("coverage", "precision", "unknown") if opened else ("coverage", "precision")
    ends = [[*(_percent(quality.get(share)) for share in shares), time]]
    if not networks:
        loss = ", ".join(f"{value:.3f}" for value in row["losses"].values())
        yield [row["stage"], f"(loss {loss})", *[""] * (3 if opened else len(SETS) if sets else 4 + top5), *ends.pop()]
    for name, found in networks.items():
        if sets:
            cells = [_percent(found["map"], 1), *(f"{found[name]:.3f}" for name in ("micro_f1", "macro_f1", "nll"))]
            yield [row["stage"] if ends else "", name, *cells, *(ends.pop() if ends else [""] * (len(shares) + 1))]
            continue
        told = ["top1", *(["open_top1", "auroc"] if opened else ["top5"] * top5)]
        cells = [_percent(found.get(name), 1) for name in told]
        cells += [] if opened else [f"{found['macro_f1']:.3f}", f"{found['nll']:.2f}", f"{found['ece']:.3f}"]
        yield [row["stage"] if ends else "", name, *cells, *(ends.pop() if ends else [""] * (len(shares) + 1))]


def sentences(results: dict[str, Any]) -> list[str]:
    """What stands beneath the table: what its columns are, the result with its interval, what is amiss."""
    rows = results["stages"]
    labels = [row["stage"] for row in rows]
    found = [_legend(rows)]
    if "pretrain" in labels and rows[0]["networks"]:
        found.append("pretrain is measured on the test images of its own data set.")
    if "semi" in labels:
        control = _control(labels) if rows[-1]["networks"] and not rows[-1].get("frozen") else ""
        found.append(f"semi is {rows[-1]['method'].replace(' x ', ' + ')}.{control}")
    if results["headline"].get(primary(results["headline"])) is not None:
        which = "frozen network" if rows[-1].get("frozen") else "averaged weights at the last step"
        found.append(f"Result: {which}{_interval(results['headline'])}.")
        found += [by_class.sentence(results["classes"])] if "classes" in results else []
        gains = ", ".join(f"{name}: {100 * gain:+.1f}" for name, gain in results["gains"].items())
        found += [f"Differences in points: {gains} (one seed is no evidence: `sslkit compare`)."] if gains else []
    best = {row["stage"]: row["best"]["step"] for row in rows if row.get("best")}
    if best:
        steps = ", ".join(f"step {step} of {name}" for name, step in best.items())
        score = "mAP" if any("val_map" in (row.get("best") or {}) for row in rows) else "accuracy"
        found.append(f"best: averaged weights at the step with the best {score} on the validation part ({steps}).")
    if rows[-1].get("calibration"):
        found.append(_calibrated(rows[-1]))
    return found + [f"Warning: {sentence}." for sentence in results.get("remarks", ())]


def _legend(rows: list[dict[str, Any]]) -> str:
    """What the columns are that the field calls in more than one way."""
    frozen = [row["stage"] for row in rows if row.get("frozen")]
    told = ["frozen: the network as its weights are, with a method fitted to its features"] if frozen else []
    if len(frozen) < len(rows):
        told.append(
            "student: the network that is trained; averaged: the exponential moving average (EMA) of its weights, "
            "which predict and export use"
        )
    if _measured(rows, "auroc"):
        told.append(
            "C+1 %: mean recall of the known classes and of the unknown ones, which are to be rejected; AUROC %: "
            "unknown against known by the method's score; unknown %: such images among the kept"
        )
    elif _measured(rows, "map"):
        told.append(
            "mAP: mean over classes of the average precision; F1 at probability 0.5, over all (image, class) pairs and "
            "mean of classes; NLL (of a pair): lower is better"
        )
    elif any(row["networks"] for row in rows):
        told.append("F1: macro; NLL (negative log-likelihood), ECE (calibration error, 15 bins): lower is better")
    if _measured(rows, "map"):
        told.append(
            "kept %: (image, class) pairs above the threshold; correct %: those of them said to be there that are"
        )
    elif any(row.get("pseudo_labels") for row in rows):
        told.append(
            "kept %: pseudo-labels above the threshold; correct %: accuracy of the kept, where true labels are known"
        )
    return "; ".join(told) + "."


def _control(labels: list[str]) -> str:
    if "finetune+" in labels:
        return " finetune+ is the control: from the same weights, as many steps at control.lr, labelled images only."
    return " Did the unlabelled images help? --control trains finetune+, as many steps on the labels only."


def _interval(headline: dict[str, Any]) -> str:
    if "interval" not in headline:
        return ""
    low, high = headline["interval"]
    if "map" in headline:
        ends = f"bootstrap's 95% interval {100 * low:.1f} to {100 * high:.1f}"
        return f", mAP {_percent(headline['map'], 1)}% on {headline['images']} test images ({ends})"
    share = f"{_percent(headline['top1'], 1)}% of {headline['images']} test images"
    return f", {share} right (95% CI {100 * low:.1f} to {100 * high:.1f}, for the choice of test images)"


def _calibrated(row: dict[str, Any]) -> str:
    """What the temperature gives on the test part, which it was not fitted on."""
    found = row["calibration"]
    if "thresholds" in found:
        f1, few = "", "only " if found["images"] < FEW else ""
        if "micro_f1" in found:
            f1 = f"; test F1 with them: micro {found['micro_f1']:.3f}, macro {found['macro_f1']:.3f}"
        return f"Thresholds by the best F1 on {few}{found['images']} validation images, which predict uses{f1}."
    if not found["errors"]:
        return f"Temperature scaling: all {found['images']} validation images are right, which fixes no temperature."
    few = "only " if found["images"] < FEW else ""
    gained = ""
    if before := row["networks"].get("averaged"):
        gained = f"test NLL {before['nll']:.3f} -> {found['nll']:.3f}, ECE {before['ece']:.3f} -> {found['ece']:.3f}; "
    return (
        f"Temperature scaling: {found['temperature']:.2f}, fitted on {few}{found['images']} validation images; {gained}"
        "predict and export apply it with --calibrated."
    )


def _percent(share: float | None, digits: int = 0) -> str:
    return "" if share is None or math.isnan(share) else f"{100 * share:.{digits}f}"
