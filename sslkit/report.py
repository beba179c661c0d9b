"""Tables and results: what a run will do, what each stage gave, and whether a repetition agrees."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from torch import Tensor

from sslkit import advice, checkpoint
from sslkit.errors import UserError
from sslkit.progress import KEPT, QUALITY
from sslkit.spec import Spec
from sslkit.store import read_json
from sslkit.timing import Seconds

RESULT_SCHEMA = 1
FEW = 100  # validation images from which a temperature can be trusted
Judged = tuple[Tensor, Tensor]  # (n,) int64 predicted classes and labels, of the labelled test images


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


def duration(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def count(n: int, thing: str) -> str:
    """1 seed, 2 seeds."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def last_values(path: Path) -> dict[str, dict[str, float] | None]:
    """Loss terms, and quality of the pseudo-labels, as means over the last tenth of a stage's logged steps."""
    lines = _log(path)
    lines = lines[-max(1, len(lines) // 10) :]
    found = {}
    for name in dict.fromkeys(name for line in lines for name in line):
        values = [line[name] for line in lines if line.get(name) is not None]
        if values and name not in (*KEPT, "val_top1"):
            found[name] = sum(values) / len(values)
    quality = {name: found.pop(name) for name in QUALITY if name in found}
    return {"losses": found, "pseudo_labels": quality or None}


def _log(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in path.read_text("utf-8", "replace").splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError):  # the log may have been damaged from outside
            lines.append(json.loads(text))
    return lines


def read_results(run: Path) -> dict[str, Any]:
    """The stored results of a run.

    Raises:
        UserError: they are missing or damaged, or of another version.
    """
    path = run / "results.json"
    results = read_json(path)
    if not isinstance(results, dict) or results.get("schema") != RESULT_SCHEMA:
        raise UserError(f"{path} is damaged or of another version: its schema is not {RESULT_SCHEMA}")
    return results


def summary(run: Path, config: dict[str, Any], machine: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The results of a run, as they are stored."""
    top1 = {row["stage"]: row["networks"]["averaged"]["top1"] for row in rows if row["networks"]}
    last = rows[-1]["stage"]
    judged = [_judged(_folder(run, row)) if row["networks"] else None for row in rows]
    results = {
        "schema": RESULT_SCHEMA,
        "run": run.name,
        "headline": {"network": "averaged", "step": "last", "top1": top1.get(last), **_sure(rows[-1], judged[-1])},
        "gains": {f"{last} - {other}": top1[last] - top1[other] for other in top1 if other not in (last, "pretrain")},
        "pretrain": "trained" if rows[0]["stage"] == "pretrain" else "skipped",
        "stages": rows,
        "machine": machine,
        "config": config,
    }
    return results | {"remarks": _remarks(run, results, judged)}


def _sure(row: dict[str, Any], judged: Judged | None) -> dict[str, Any]:
    """How many labelled test images a stage was judged on, and the 95% interval (Wilson 1927) for it."""
    from scipy.stats import binomtest  # slow to import

    if judged is None:
        return {}
    n = len(judged[1])
    found = binomtest(round(n * row["networks"]["averaged"]["top1"]), n).proportion_ci(method="wilson")
    return {"images": n, "interval": [found.low, found.high]}


def _folder(run: Path, row: dict[str, Any]) -> Path:
    return run.absolute().parent / "stages" / str(row["key"])


def _remarks(run: Path, results: dict[str, Any], judged: Sequence[Judged | None]) -> list[str]:
    """What is amiss in a run, with advice."""
    rows = results["stages"]
    folders = [_folder(run, row) for row in rows]
    specs = [Spec(**read_json(folder / "spec.json")) for folder in folders]
    found = advice.before(specs, results["config"].get("data.workers"), os.cpu_count() or 1)
    for folder, spec, row, seen in zip(folders, specs, rows, judged, strict=True):
        watch = advice.Watch(spec)
        found += [f"{row['stage']}: {said}" for line in _log(folder / "metrics.jsonl") if (said := watch(line))]
        found += filter(None, [advice.early(spec, row)])
        if seen is not None:
            classes = spec.data["classes"]
            found += filter(None, [advice.takes_over(row["stage"], *_shares(seen, len(classes)), classes)])
    return found + list(filter(None, [advice.gain(results), advice.mixed(rows)]))


def _judged(folder: Path) -> Judged | None:
    """The averaged network's predictions for the labelled test images, and their labels; None where damaged."""
    with contextlib.suppress(checkpoint.DamagedError):  # what is said is all that they are needed for
        tensors, _ = checkpoint.load(folder / "predictions.safetensors")
        known = tensors["label"] >= 0
        return tensors["averaged"].argmax(1)[known], tensors["label"][known]
    return None


def _shares(judged: Judged, classes: int) -> tuple[list[float], list[float]]:
    """Share of each class among the predictions, and among the labels."""
    predicted, true = ((values.bincount(minlength=classes) / len(values)).tolist() for values in judged)
    return predicted, true


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


def repetition(stages: Path, keys: Mapping[str, str], suffix: str) -> str:
    """Whether repeated stages left the weights of the first ones.

    Args:
        stages: folder of all stages.
        keys: label -> key of the first ones, to which the repeated ones add `suffix`.
    """
    missing = [label for label, key in keys.items() if not (stages / key / "result.json").is_file()]
    if missing:
        return f"nothing to compare with: stage {missing[0]} of the first run is not in the store"
    apart = {label: agreement(stages / (key + suffix), stages / key) for label, key in keys.items()}
    if not any(apart.values()):
        return "the weights of all stages agree with the first run bit for bit"
    return "the weights differ from the first run's: " + ", ".join(f"{n} by {d:.3g}" for n, d in apart.items())


def agreement(mine: Path, theirs: Path) -> float:
    """Largest absolute difference between the weights of two published stages; 0 is bit-equal."""
    a, _ = checkpoint.load(mine / "weights.safetensors")
    b, _ = checkpoint.load(theirs / "weights.safetensors")
    if a.keys() != b.keys():
        return math.inf
    return max((float((a[n].double() - b[n].double()).abs().max()) if a[n].numel() else 0.0) for n in a)
