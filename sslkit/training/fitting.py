"""A stage without steps: a method fitted to the features of a frozen network."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslkit.average import Average
from sslkit.contracts import Algorithm
from sslkit.data import Images
from sslkit.data.image import Array
from sslkit.data.splits import Split
from sslkit.frozen import LinearHead, OnFeatures
from sslkit.store import checkpoint
from sslkit.training.calibration import calibrate
from sslkit.training.engine import Report
from sslkit.training.evaluation import open_scores, scores
from sslkit.training.features import Features
from sslkit.training.spec import Spec
from sslkit.training.stage import weights_of

BLOCK = 4096  # images that are classified at once


def fit(
    spec: Spec,
    algorithm: Algorithm,
    average: Average,
    images: Images,
    split: Split,
    folder: Path,
    features: Path,
    report: Report,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Fit a stage's method, evaluate it, write its weights and predictions; the result, in the form of `Engine.train`.

    Args:
        algorithm, average: as `build_algorithm` gives them.
        folder, features: as of `sslkit.training.work.train`.
        report: told how many images have their features, with the total of the pass.
        say: given a sentence about the pass.

    Raises:
        UserError: the method refuses what it is given, or what `Features` raises.
    """
    assert isinstance(algorithm, OnFeatures), "no view is asked for"
    begun = time.perf_counter()
    find = Features(
        average.network, spec, images, features, lambda done, total: report(done, {"total": total}),
        lambda: say("another process computes features of this network; waiting for it"),
    )  # fmt: skip
    index = _index(split, pool="unlabeled" in spec.views)
    sizes = [len(some) for some in index.values()]
    found = dict(zip(index, torch.split(find(np.concatenate([*index.values()])), sizes), strict=True))
    say(str(find.done))
    label = {name: torch.from_numpy(images.targets[some]) for name, some in index.items()}
    if known := spec.data.get("class_weights"):
        algorithm.class_weights = torch.tensor(known)
    algorithm.fit(found["labeled"], label["labeled"], found["unlabeled"])
    if isinstance(algorithm, LinearHead):
        _give_head(algorithm, average)
    judged: dict[str, tuple[Tensor, Tensor]] = {
        name: (classified(algorithm, found[name]), label[name]) for name in ("test", "val") if len(found.get(name, ()))
    }
    measured = scores(*judged["test"]) if "test" in judged else {}
    if "test" in judged and "unknown" in found:
        known, unknown = _open(judged["test"][0]), _open(classified(algorithm, found["unknown"]))
        measured |= open_scores(known, label["test"], unknown, len(spec.data["classes"]))
    result = {
        "seconds": time.perf_counter() - begun,
        "steps": 0,
        "networks": {"averaged": measured} if measured else {},
        "best": None,
        "frozen": True,
    }
    result |= {"calibration": calibrate(judged)} if "val" in judged else {}
    predictions = {"label": label["test"]} | ({"averaged": judged["test"][0]} if "test" in judged else {})
    checkpoint.save(folder / "predictions.safetensors", predictions, {"classes": spec.data["classes"]})
    checkpoint.save(folder / "weights.safetensors", weights_of(algorithm, average), {"steps": 0})
    return result


def _index(split: Split, *, pool: bool) -> dict[str, Array]:
    """Name -> numbers of the images whose features are needed."""
    none = np.zeros(0, np.int64)
    found = {"labeled": split.labeled, "unlabeled": split.pool if pool else none, "test": split.test}
    return found | {name: some for name, some in (("val", split.val), ("unknown", split.unknown)) if len(some)}


def classified(algorithm: OnFeatures, features: Tensor) -> Tensor:
    """(N, C) logits, block by block."""
    with torch.inference_mode():
        return torch.cat([algorithm.classify(some).float() for some in torch.split(features, BLOCK)])


def _open(logits: Tensor) -> Tensor:
    """(N, 2) score and class, as `Algorithm.open_set` has them, of logits (N, C)."""
    confidence, guess = logits.softmax(1).max(1)
    return torch.stack([1 - confidence, guess.float()], 1)


def _give_head(algorithm: LinearHead, average: Average) -> None:
    """The head that was found becomes that of the networks, with which the next stage starts."""
    with torch.no_grad():
        for network in (algorithm.student, average.network):
            head = network.classifier()
            head.weight.copy_(algorithm.weight)
            head.bias.copy_(algorithm.bias)
