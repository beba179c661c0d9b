"""What the stages of a comparison logged while they were trained, as one long pandas frame."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from sslkit.store import PathLike
from sslkit.training.log import EVERY, PROGRESS

SHARES = {"val_top1": "top-1 on validation", "coverage": "kept pseudo-labels", "precision": "right among the kept"}
SHARES |= {"val_map": "mAP on validation", "unknown": "of no known class among the kept"}
LEFT_OUT = (*PROGRESS, "recall", "confidence")
COLUMNS = ("condition", "row", "seed", "step", "quantity", "value")


def history(frame: pd.DataFrame, runs: PathLike) -> pd.DataFrame:
    """The log of every line of `load`: condition, row, seed, step, quantity, value.

    Quantities are the loss terms, and as shares in [0, 1] those of `SHARES`. Each is a mean over ten steps. What is
    missing or damaged in a log is left out.

    Args:
        frame: as `load` gives it.
        runs: root of the store.
    """
    stages = frame.loc[frame["error"] == "", ["condition", "row", "seed", "key"]]
    found = [
        (condition, row, seed, line["step"], quantity, value)
        for condition, row, seed, key in stages.itertuples(index=False)
        for line in logged(Path(runs) / "stages" / key / "metrics.jsonl")
        for quantity, value in line.items()
        if quantity not in LEFT_OUT and _is_number(value)
    ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def logged(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log, each of `EVERY` steps: those that an interruption cut are put together again."""
    cut: list[dict[str, Any]] = []
    for line in _lines(path):
        cut.append(line)
        if line["step"] % EVERY == 0:
            yield _together(cut)
            cut = []
    if cut:
        yield _together(cut)


def _together(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of the means over all of their steps; other values are the last ones."""
    if len(lines) == 1:
        return lines[0]
    begin = (lines[-1]["step"] - 1) // EVERY * EVERY
    ends = [begin, *(line["step"] for line in lines)]
    steps = [end - start for start, end in pairwise(ends)]
    whole = dict(item for line in lines for item in line.items())
    for name in whole.keys() - {*PROGRESS}:
        known = [(line[name], n) for line, n in zip(lines, steps, strict=True) if _is_number(line.get(name))]
        total = sum(n for _, n in known)
        if total > 0:
            whole[name] = sum(value * n for value, n in known) / total
    return whole


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of the file that say their step."""
    with contextlib.suppress(OSError):
        for text in path.read_text("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                if isinstance(line, dict) and _is_number(line.get("step")):
                    yield line


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
