"""Results of comparisons as long pandas frames, one line a row, condition and seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslkit import checkpoint
from sslkit.errors import UserError
from sslkit.harness.arms import CONTROLS
from sslkit.report import read_results
from sslkit.store import PathLike, read_json

SCORES = ("top1", "macro_f1", "nll", "ece", "coverage", "precision")
COLUMNS = ("condition", "row", "seed", *SCORES, "seconds", "key", "error")
MARK = "comparison.json"


def load(folder: PathLike) -> pd.DataFrame:
    """The averaged network at the last step: top1 in percent; coverage and precision of pseudo-labels as shares.

    Rows are the arms, and `finetune` and `finetune+`, which every run brings and which are listed once.

    Raises:
        UserError: no such comparison, or it is damaged.
    """
    about = read_json(Path(folder) / MARK)
    lines: dict[tuple[str, str, int], dict[str, Any]] = {}
    for done in about["runs"]:
        place = done["condition"], done["arm"], done["seed"]
        if done["error"]:
            lines[place] = {"error": done["error"]}
            continue
        for stage in read_results(Path(folder).parent / done["run"])["stages"]:
            row = stage["stage"] if stage["stage"] in CONTROLS else done["arm"]
            if stage["networks"]:
                lines.setdefault((done["condition"], row, done["seed"]), _line(stage))
    found = [{"condition": c, "row": r, "seed": s, **line} for (c, r, s), line in lines.items()]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _line(stage: dict[str, Any]) -> dict[str, Any]:
    scores = stage["networks"]["averaged"]
    quality = stage.get("pseudo_labels") or {}
    return {
        "top1": 100 * scores["top1"],
        **{name: scores[name] for name in ("macro_f1", "nll", "ece")},
        **{name: quality.get(name) for name in ("coverage", "precision")},
        "seconds": stage["seconds"],
        "key": stage["key"],
        "error": "",
    }


def right(runs: PathLike, keys: list[str]) -> np.ndarray[Any, Any]:
    """(stages, images) bool: whether each stage's averaged network classifies each test image correctly."""
    found = []
    for key in keys:
        stored, _ = checkpoint.load(Path(runs) / "stages" / key / "predictions.safetensors")
        known = stored["label"] >= 0
        found.append((stored["averaged"].argmax(1) == stored["label"])[known].numpy())
    return np.stack(found)


def comparisons(runs: PathLike) -> list[Path]:
    """Folders of comparisons below a store's root, the newest last."""
    return sorted((file.parent for file in Path(runs).glob(f"*/{MARK}")), key=lambda f: (f / MARK).stat().st_mtime)


def find(runs: PathLike, name: str | None) -> Path:
    """The comparison whose folder's name begins with `name`; None is the newest.

    Raises:
        UserError: there is none, or several.
    """
    known = comparisons(runs)
    chosen = [folder for folder in known if name is None or folder.name.startswith(name)]
    if not chosen:
        among = f"; there are {', '.join(f.name for f in known)}" if known else ""
        raise UserError(f"no comparison {name or ''!r} in {runs}{among}")
    if name is not None and len(chosen) > 1 and name not in (f.name for f in chosen):
        raise UserError(f"{name!r} begins the names of {', '.join(f.name for f in chosen)}")
    return next((f for f in chosen if f.name == name), chosen[-1])
