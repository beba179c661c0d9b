"""Who is left out: every image once, with one of every class, and nothing that it is judged by has seen it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sslkit.harness.advise.folds import folds, smaller
from sslkit.harness.advise.frozen import Known
from sslkit.harness.advise.trained import Trained
from sslkit.machine import resolve_machine
from sslkit.prepare import prepare
from sslkit.store import Store
from sslkit.terminal.screen import Screen
from tests.algorithms.on_features import Identity


def test_a_fold_has_one_of_each_class_where_classes_are_small() -> None:
    label = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
    fold = folds(label, 10, seed=3)
    assert sorted(fold) == sorted([0, 1, 2, 3] * 3)
    for number in range(4):
        assert sorted(label[fold == number]) == [0, 1, 2]
    assert (fold != folds(label, 10, seed=4)).any()


def test_a_large_class_is_dealt_out_evenly_and_a_single_image_stays() -> None:
    label = np.repeat([0, 1, 2], [23, 1, 6])
    fold = folds(label, 5, seed=0)
    assert fold[23] == -1
    for c, least in ((0, 4), (2, 1)):
        counts = np.bincount(fold[label == c], minlength=5)
        assert counts.min() == least
        assert counts.max() == least + 1
    assert np.ptp(np.bincount(fold[fold >= 0])) <= 1


def test_a_smaller_set_has_its_share_of_each_class() -> None:
    label = np.repeat([0, 1, 2], [20, 8, 1])
    chosen = smaller(label, 0.25, seed=0)
    assert np.bincount(label[chosen]).tolist() == [5, 2, 1]


def known(n: int = 60, classes: int = 3, noise: float = 0.0) -> Known:
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(n) % classes
    x = torch.randn(n, 200, generator=generator) + noise * torch.nn.functional.one_hot(label, 200)
    return Known(Identity(200), x, label, torch.zeros(0, 200), classes)


def test_labels_that_are_chance_are_guessed_by_chance() -> None:
    """More dimensions than images: what was fitted to is always right."""
    some = known()
    every = np.ones(60, bool)
    assert some.right("linear", every, every).all()
    assert some.by_folds("linear", folds(some.label.numpy(), 10, 0)).mean() < 0.55


def test_the_curve_judges_each_image_where_it_was_not_fitted_to() -> None:
    some = known(noise=8.0)
    curve = some.curve("linear", seed=0)
    assert list(curve) == [15, 30]
    assert all(0.9 < np.nanmean(right) <= 1 for right in curve.values())
    assert max(np.nanmean(right) for right in known().curve("linear", seed=0).values()) < 0.55


def test_a_fold_of_a_trained_row_knows_no_held_out_image(tmp_path: Path) -> None:
    prepared = prepare({"data": "digits", "data.pool": "all", "backbone": "vit_micro"})
    fold = folds(prepared.images.label[prepared.split.labeled], 4, 0)
    store = Store(tmp_path)
    store.prepare()
    runs = Trained(prepared, resolve_machine(prepared.config), fold, store, Screen(None))
    seen = []
    for number in range(4):
        own = runs._fold(number).split
        assert not np.intersect1d(own.test, np.concatenate([own.labeled, own.pool])).size
        assert not np.intersect1d(prepared.split.test, np.concatenate([*vars(own).values()])).size
        assert len(own.labeled) + len(own.test) == len(prepared.split.labeled)
        seen.append(own.test)
    assert sorted(np.concatenate(seen)) == sorted(prepared.split.labeled)
    runs.close()
    assert not [*tmp_path.glob(".advise-*")]
