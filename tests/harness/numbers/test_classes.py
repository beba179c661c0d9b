"""Recall class by class, for the page of a comparison."""

from __future__ import annotations

import torch

from sslkit.harness.numbers.classes import _shown
from sslkit.record.by_class import by_class


def test_of_many_classes_those_of_the_lowest_recall_are_listed() -> None:
    label = torch.arange(120)
    told = by_class(torch.where(label < 30, 0, label), label, [f"c{c}" for c in range(120)])
    made = _shown("all", {"class": told, "other": told})
    assert list(made.recall.columns) == ["class", "images", "class", "other"]
    assert (len(made.recall), made.left, made.confusion) == (100, 20, {})
    assert {f"c{c}" for c in range(1, 30)} <= set(made.recall.iloc[:, 0])
