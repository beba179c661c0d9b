"""Was training stable? Flags of one stage, from its log and its predictions of the test set.

A flag is said beside a result and changes none.

diverged: at the end the loss on labelled images is that of a uniform guess or worse, or it was not finite.
spikes: after the first tenth, the loss on labelled images (mean of ten steps) exceeds three times the median of the ten
    means before it, and by half a nat or more.
coverage 0: pseudo-labels were kept before, and none in the last tenth.
one class: a class gets more than half of the test images of all others.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.harness.history import logged
from sslkit.store import checkpoint

FACTOR, NATS, BEFORE = 3.0, 0.5, 10


def flags(stage: Path) -> list[str]:
    """Flags of a finished stage; what of its log is missing or damaged is left out."""
    lines = list(logged(stage / "metrics.jsonl"))
    loss = [line["supervised"] for line in lines if isinstance(line.get("supervised"), float)]
    kept = [line["coverage"] for line in lines if isinstance(line.get("coverage"), float)]
    found: list[str] = []
    with contextlib.suppress(UserError):  # damaged predictions are said where they are needed
        stored, _ = checkpoint.load(stage / "predictions.safetensors")
        found += ["diverged"] if diverged(loss, stored["averaged"].shape[1]) else []
        found += ["one class"] if one_class(stored["averaged"], stored["label"]) else []
    found += ["spikes"] if spikes(loss) else []
    found += ["coverage 0"] if coverage_lost(kept) else []
    return found


def of_error(error: str) -> str:
    """The flag of a run that failed."""
    return "diverged" if "not finite" in error else ""


def diverged(loss: list[float], classes: int) -> bool:
    end = _last_tenth(loss)
    return bool(end) and sum(end) / len(end) >= math.log(classes)


def spikes(loss: list[float]) -> bool:
    first = max(1, len(loss) // 10)
    before = ((x, median(loss[max(0, i - BEFORE) : i])) for i, x in enumerate(loss) if i >= first)
    return any(x > FACTOR * usual and x > usual + NATS for x, usual in before)


def coverage_lost(kept: list[float]) -> bool:
    return any(kept) and not any(_last_tenth(kept))


def one_class(logits: Tensor, label: Tensor) -> bool:
    """Args: (N, C) predictions and (N,) labels; -1 is unknown. Of several labels an image (N, C) none takes over."""
    if label.ndim == 2:
        return False
    guess = logits.argmax(1)[label >= 0]
    label = label[label >= 0]
    taken = [float((guess[label != c] == c).float().mean()) for c in torch.unique(guess) if (label != c).any()]
    return any(share > 0.5 for share in taken)


def _last_tenth(values: list[float]) -> list[float]:
    return values[-max(1, len(values) // 10) :]
