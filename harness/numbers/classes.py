"""Recall class by class of the rows of a comparison, and who was taken for whom, over its seeds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sslkit.errors import UserError
from sslkit.harness.numbers.frame import Results
from sslkit.record.by_class import by_class
from sslkit.store import checkpoint, read_json

WIDE = 16  # classes of which the counts fit on a page
LONG = 100  # classes that are listed
DAMAGE = (UserError, KeyError, TypeError, IndexError, RuntimeError)


@dataclass(frozen=True)
class Classes:
    """One condition, class by class."""

    condition: str
    recall: pd.DataFrame  # a line a class: its name, its test images in all seeds, and each row's recall in percent
    left: int  # classes that are not listed: those of the highest recall in the first row
    confusion: dict[str, pd.DataFrame]  # row -> counts, true classes in lines; of up to `WIDE` classes


def classes(known: Results) -> Iterator[Classes]:
    """Of each condition with predictions, those of all seeds together; nothing where images have several labels."""
    if known.score != "top1":
        return
    for condition, lines in known.good.groupby("condition", sort=False):
        found = {}
        for row, group in lines.groupby("row", sort=False):
            with contextlib.suppress(*DAMAGE):  # a stage that is gone, or is not what was written, tells nothing
                found[str(row)] = _counted(known.runs / "stages", group["key"])
        if found:
            yield _shown(str(condition), found)


def _counted(stages: Path, keys: Sequence[str]) -> dict[str, Any]:
    """What `by_class` gives for several stages of the same classes."""
    guess, label, names = [], [], list[str]()
    for key in keys:
        tensors, _ = checkpoint.load(stages / key / "predictions.safetensors")
        known = tensors["label"] >= 0
        guess.append(tensors["averaged"].argmax(1)[known])
        label.append(tensors["label"][known])
        names = [str(name) for name in read_json(stages / key / "spec.json")["data"]["classes"]]
    return by_class(torch.cat(guess), torch.cat(label), names)


def _shown(condition: str, found: dict[str, dict[str, Any]]) -> Classes:
    first = next(iter(found.values()))["rows"]
    lines = [
        [one["class"], one["images"], *(_percent(told["rows"][c]["recall"]) for told in found.values())]
        for c, one in enumerate(first)
    ]
    order = sorted(range(len(first)), key=lambda c: 2.0 if first[c]["recall"] is None else float(first[c]["recall"]))
    recall = pd.DataFrame([lines[c] for c in sorted(order[:LONG])], columns=["class", "images", *found])
    names = [one["class"] for one in first]
    wide = found if len(names) <= WIDE else {}
    counts = {row: _matrix(names, told["confusion"]) for row, told in wide.items()}
    return Classes(condition, recall, max(0, len(first) - LONG), counts)


def _matrix(names: list[str], counts: list[list[int]]) -> pd.DataFrame:
    lines = [[name, *(str(n or ".") for n in line)] for name, line in zip(names, counts, strict=True)]
    return pd.DataFrame(lines, columns=["true class", *names])


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
