"""Results of comparisons as long pandas frames, one line a row, condition and seed.

A run that failed is a line with its reason, and never left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sslkit.errors import UserError, one_line
from sslkit.harness.numbers.stability import flags, of_error
from sslkit.harness.plan.survey import Planned, row_names
from sslkit.harness.stored.ledger import MARK, read
from sslkit.record.advice import trained_by
from sslkit.store import PathLike, checkpoint, read_json

__all__ = ["MARK", "comparisons", "find", "load", "results", "right"]

SETS = ("map", "micro_f1", "macro_f1", "nll", "coverage", "precision")  # where images have several labels
TITLES = {"top1": "top-1 %", "map": "mAP %"}  # the score by which rows are compared -> what tables call it
SCORES = ("top1", "macro_f1", "nll", "ece", "coverage", "precision")
OPEN = ("open_top1", "auroc", "unknown")  # further ones where the data have images of no known class
COLUMNS = ("condition", "row", "seed", *SCORES, "seconds", "memory", "flags", "versions", "key", "error")


@dataclass(frozen=True)
class Results:
    """A comparison that tables are made of, read once."""

    runs: Path  # root of the store
    about: dict[str, Any]  # as `ledger.read` gives it
    frame: pd.DataFrame  # as `load` gives it

    @property
    def reference(self) -> str:
        return str(self.about["comparison"]["reference"])

    @property
    def score(self) -> str:
        """The column, in percent, by which rows are compared."""
        return score_of(self.frame)

    @property
    def good(self) -> pd.DataFrame:
        """The lines that have values."""
        return self.frame[self.frame["error"] == ""]


def score_of(frame: pd.DataFrame) -> str:
    """The column of a frame, or of a part of it, by which rows are compared."""
    return "map" if "map" in frame else "top1"


def results(folder: Path) -> Results:
    """A comparison and its frame.

    Raises:
        UserError: as `load`.
    """
    return Results(folder.parent, read(folder), load(folder))


def load(folder: PathLike) -> pd.DataFrame:
    """The averaged network at the last step: top1 in percent; coverage and precision of pseudo-labels as shares. Where
    images have several labels map in percent takes the place of top1, and the other columns are `SETS`.

    Where the test has images of no known class, also open_top1 and auroc in percent, as
    `sslkit.training.evaluation.open_scores` has them, and unknown, the share of such images among the kept ones.

    Rows are the arms, and `finetune` and `finetune+`, which every run brings and which are listed once where all arms
    share them. What failed, is not run yet, damaged or gone is a line whose `error` says so. `flags` are those of
    `sslkit.harness.numbers.stability`; `memory` is the largest that a stage took, in bytes, where that is known.

    Raises:
        UserError: no such comparison, or it is damaged, or all of its runs are.
    """
    runs = [Planned(**run) for run in read(Path(folder))["runs"]]
    names = row_names(runs)
    lines: dict[tuple[str, str, int], dict[str, Any]] = {}
    damaged = None
    for run in runs:
        for label, key in run.stages.items():
            try:
                line = _line(Path(folder).parent / "stages" / key, run)
            except UserError as error:
                damaged, line = damaged or error, {"error": str(error), "flags": ""}
            place = run.condition, names[run.condition, run.arm, label], run.seed
            if label != "pretrain" and line and (place not in lines or lines[place]["error"]):
                lines[place] = line
    if damaged and all(line["error"] for line in lines.values()):
        raise damaged
    found = [{"condition": c, "row": r, "seed": s, **line} for (c, r, s), line in lines.items()]
    opened = OPEN if any("auroc" in line for line in found) else ()
    scores = SETS if any("map" in line for line in found) else SCORES
    return pd.DataFrame(found, columns=[*COLUMNS[:3], *scores, *opened, *COLUMNS[3 + len(SCORES) :]])


def _line(stage: Path, run: Planned) -> dict[str, Any] | None:
    """What a stage gave, or why it did not; None of a stage without a classifier.

    Raises:
        UserError: it is damaged.
    """
    if not (stage / "result.json").is_file():
        gone = f"stage {stage.name} is not in the store any more"
        return {"error": run.error or gone, "flags": of_error(run.error)}
    result = read_json(stage / "result.json")
    try:
        return _values(stage, result) if result["networks"] else None
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{stage / 'result.json'} is damaged: {one_line(error)}") from None


def _values(stage: Path, result: dict[str, Any]) -> dict[str, Any]:
    scores, quality = result["networks"]["averaged"], result.get("pseudo_labels") or {}
    main, *others = [name for name in (SETS if "map" in scores else SCORES) if name not in ("coverage", "precision")]
    return {
        main: 100 * +scores[main],
        **{name: +scores[name] for name in others},
        **{name: _number(quality.get(name)) for name in ("coverage", "precision", "unknown")},
        **{name: 100 * +scores[name] for name in ("open_top1", "auroc") if name in scores},
        "seconds": +result["seconds"],
        "memory": _number(result.get("memory")),
        "flags": ", ".join(flags(stage)),
        "versions": trained_by(result),
        "key": stage.name,
        "error": "",
    }


def _number(value: Any) -> Any:
    """None or a number; `+` of anything else is a TypeError."""
    return None if value is None else +value


def right(runs: PathLike, keys: list[str]) -> np.ndarray[Any, Any] | None:
    """(stages, images) bool: whether each stage's averaged network classifies each test image correctly.

    None where they have no test images in common, as those with `data.tune`, which depend on the seed, and where images
    have several labels, of which some are right.

    Raises:
        UserError: predictions are damaged.
    """
    found, label = [], None
    for key in keys:
        stored = predictions(runs, key)
        label = stored["label"] if label is None else label
        if label.ndim == 2 or not torch.equal(label, stored["label"]):
            return None
        known = label >= 0
        found.append((stored["averaged"].argmax(1) == label)[known].numpy())
    return np.stack(found)


def predictions(runs: PathLike, key: str) -> dict[str, torch.Tensor]:
    """What a stage predicted: label (N,) int64, -1 where there is none, and logits (N, C) of each network.

    Raises:
        UserError: they are damaged.
    """
    return checkpoint.load(Path(runs) / "stages" / key / "predictions.safetensors")[0]


def comparisons(runs: PathLike) -> list[Path]:
    """Folders of comparisons below a store's root, the newest last."""
    return sorted((file.parent for file in Path(runs).glob(f"*/{MARK}")), key=lambda f: (f / MARK).stat().st_mtime)


def find(runs: PathLike, name: str | None) -> Path:
    """The comparison whose folder is `name`, or whose folder's name begins so, with its store before it or not; None is
    the newest.

    Raises:
        UserError: there is none, or several.
    """
    known = comparisons(runs)
    if name is not None:
        path = Path(name).parent if Path(name).name == MARK else Path(name)
        if (path / MARK).is_file():
            return path
        name = path.name if path.parent.absolute() in (Path.cwd(), Path(runs).absolute()) else str(path)
    chosen = [folder for folder in known if name is None or folder.name.startswith(name)]
    if not chosen:
        among = f"; there are {', '.join(f.name for f in known)}" if known else ""
        raise UserError(f"no comparison {'' if name is None else f'{name!r} '}in {runs}{among}")
    if name is not None and len(chosen) > 1 and name not in (f.name for f in chosen):
        raise UserError(f"{name!r} begins the names of {', '.join(f.name for f in chosen)}")
    return next((f for f in chosen if f.name == name), chosen[-1])
