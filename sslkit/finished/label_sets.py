"""Predictions where an image may have several labels: all classes that are probable enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sslkit.data.label_sets import BETWEEN, EMPTY, table
from sslkit.training.multilabel import scores


def rows(
    names: Sequence[str],
    p: Tensor,
    label: Tensor | None,
    bad: Mapping[int, str],
    classes: Sequence[str],
    thresholds: Tensor,
    shares: Sequence[str],
) -> list[list[str]]:
    """The table, its names of columns first: file, perhaps label, labels, and the probabilities of all classes.

    Args:
        names: of all images, of which `bad` could not be read.
        p: (n, C) of those that could.
        label: (N, C) of all images, where they are known.
        thresholds: (C,) probabilities from which a class is said to be there.
        shares: names of the columns of all classes, where they are asked for.
    """
    lines = [["file", *["label"] * (label is not None), "labels", *shares, *["status"] * bool(bad)]]
    read = iter(zip((p >= thresholds).tolist(), p.tolist(), strict=True))
    for i, name in enumerate(names):
        told = [name]
        if label is not None:
            told.append(_joined(label[i] == 1, classes) if bool((label[i] >= 0).all()) else "")
        if i in bad:
            lines.append([*told, "", *[""] * len(shares), bad[i]])
            continue
        there, each = next(read)
        probable = [f"{x:.4f}" for x in each] if shares else []
        lines.append([*told, _joined(there, classes), *probable, *["read"] * bool(bad)])
    return lines


def judged(p: Tensor, label: Tensor | None, thresholds: Tensor) -> dict[str, Any]:
    """How many images have labels, and their scores at the thresholds; {} where none has."""
    if label is None or not bool((label >= 0).all(1).any()):
        return {}
    return {"labeled": int((label >= 0).all(1).sum()), **scores(p.double().logit(), label, thresholds)}


def _joined(there: Any, classes: Sequence[str]) -> str:
    return BETWEEN.join(name for name, yes in zip(classes, there, strict=True) if yes) or EMPTY


def targets(texts: Sequence[str], classes: Sequence[str]) -> Tensor | None:
    """(N, C) labels of sets as texts, -1 where there is none; None where no image has any."""
    if not any(texts):
        return None
    bare = torch.tensor([not text for text in texts])
    return torch.from_numpy(table(texts, classes)).masked_fill(bare[:, None], -1)
