"""The results of a run: what each stage gave, what is amiss in that, and whether a repetition agrees.

No network is evaluated here: each stage has written what it gave.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from sslkit.config import Config, flatten
from sslkit.errors import UserError
from sslkit.machine import Machine
from sslkit.record import Place, advice
from sslkit.record.by_class import by_class
from sslkit.store import Store, checkpoint, is_done, read_json, write_json
from sslkit.training import multilabel
from sslkit.training.evaluation import primary
from sslkit.training.log import lines_of
from sslkit.training.spec import Spec

RESULT_SCHEMA = 1
Judged = tuple[Tensor, Tensor]  # (n,) int64 predicted classes and labels, of the labelled test images


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


def conclude(
    store: Store,
    place: Place,
    config: Config,
    machine: Machine,
    rows: list[dict[str, Any]],
    *,
    again: bool,
) -> dict[str, Any]:
    """The results of a run, stored unless they were before; of a repetition with what it repeated.

    Args:
        rows: what each stage gave.
    """
    results = summary(place.folder, flatten(config), asdict(machine), rows)
    if again:
        first = {row["stage"]: row["key"].removesuffix(place.suffix) for row in rows}
        results["repeats"] = repetition(store.stages, first, place.suffix)
    with store.alone():
        if not is_done(place.folder):
            write_json(place.folder / "results.json", results)
    return results


def summary(run: Path, config: dict[str, Any], machine: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The results of a run, as they are stored."""
    reached = {row["stage"]: row["networks"]["averaged"] for row in rows if row["networks"]}
    name = primary(next(iter(reached.values()), {}))
    reached = {stage: scores[name] for stage, scores in reached.items()}
    last = rows[-1]["stage"]
    judged = [_judged(_folder(run, row)) if row["networks"] else None for row in rows]
    sure = _sure(rows[-1], judged[-1]) if name == "top1" else _sure_of_sets(_folder(run, rows[-1]))
    results = {
        "schema": RESULT_SCHEMA,
        "run": run.name,
        "headline": {"network": "averaged", "step": "last", name: reached.get(last), **sure},
        "gains": {
            f"{last} - {k}": reached[last] - value for k, value in reached.items() if k not in (last, "pretrain")
        },
        "pretrain": "trained" if rows[0]["stage"] == "pretrain" else "skipped",
        "stages": rows,
        "machine": machine,
        "config": config,
    }
    specs = [Spec(**read_json(_folder(run, row) / "spec.json")) for row in rows]
    if judged[-1] is not None and len(judged[-1][1]):
        results["classes"] = by_class(*judged[-1], specs[-1].data["classes"])
    return results | {"remarks": _remarks(run, results, specs, judged)}


def _sure(row: dict[str, Any], judged: Judged | None) -> dict[str, Any]:
    """How many labelled test images a stage was judged on, and the 95% interval (Wilson 1927) for it."""
    from scipy.stats import binomtest  # slow to import

    if judged is None:
        return {}
    n = len(judged[1])
    found = binomtest(round(n * row["networks"]["averaged"]["top1"]), n).proportion_ci(method="wilson")
    return {"images": n, "interval": [found.low, found.high]}


def _sure_of_sets(stage: Path) -> dict[str, Any]:
    """The same where images have several labels, with the interval of `multilabel.interval`."""
    with contextlib.suppress(checkpoint.DamagedError):
        tensors, _ = checkpoint.load(stage / "predictions.safetensors")
        images = int((tensors["label"] >= 0).all(1).sum())
        return {"images": images, "interval": multilabel.interval(tensors["averaged"], tensors["label"])}
    return {}


def _folder(run: Path, row: dict[str, Any]) -> Path:
    return run.absolute().parent / "stages" / str(row["key"])


def _remarks(run: Path, results: dict[str, Any], specs: Sequence[Spec], judged: Sequence[Judged | None]) -> list[str]:
    """What is amiss in a run, with advice."""
    rows = results["stages"]
    folders = [_folder(run, row) for row in rows]
    found = advice.before(specs, results["config"].get("data.workers"), os.cpu_count() or 1)
    for folder, spec, row, seen in zip(folders, specs, rows, judged, strict=True):
        watch = advice.Watch(spec)
        found += [f"{row['stage']}: {said}" for line in lines_of(folder / "metrics.jsonl") if (said := watch(line))]
        found += filter(None, [advice.early(spec, row)])
        if seen is not None:
            classes = spec.data["classes"]
            found += filter(None, [advice.takes_over(row["stage"], *_shares(seen, len(classes)), classes)])
    found += filter(None, [advice.never(results["classes"]["rows"])]) if "classes" in results else []
    right = {r["stage"]: (s[0] == s[1]).tolist() for r, s in zip(rows, judged, strict=True) if s is not None}
    found += filter(None, [advice.gain(results), advice.better(results, right), advice.mixed(rows)])
    tau = results["config"].get("labeler.tau") is not None
    return [advice.fitting(sentence, tau) for sentence in found]


def _judged(folder: Path) -> Judged | None:
    """The averaged network's predictions for the labelled test images, and their labels; None where damaged, and where
    an image has several labels.
    """
    with contextlib.suppress(checkpoint.DamagedError):  # what is said is all that they are needed for
        tensors, _ = checkpoint.load(folder / "predictions.safetensors")
        if tensors["label"].ndim == 2:
            return None
        known = tensors["label"] >= 0
        return tensors["averaged"].argmax(1)[known], tensors["label"][known]
    return None


def _shares(judged: Judged, classes: int) -> tuple[list[float], list[float]]:
    """Share of each class among the predictions, and among the labels."""
    predicted, true = ((values.bincount(minlength=classes) / len(values)).tolist() for values in judged)
    return predicted, true


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
    a, about = checkpoint.load(mine / "weights.safetensors")
    b, other = checkpoint.load(theirs / "weights.safetensors")
    if a.keys() != b.keys() or about.get("frozen") != other.get("frozen"):
        return math.inf
    return max((float((a[n].double() - b[n].double()).abs().max()) if a[n].numel() else 0.0) for n in a)
