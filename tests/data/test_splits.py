"""Who is labelled: stratified, seeded, nested; and nobody is in two places."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sslkit import registry
from sslkit.config import Data
from sslkit.data import Images
from sslkit.data.decoding import decode
from sslkit.data.splits import Split, split
from sslkit.errors import UserError
from tests.kernel.make import images


@pytest.fixture(scope="module")
def digits() -> Images:
    classes, train, test = registry.load("dataset", "digits")().read()
    return decode(classes, train, test, size=8)


def counts(found: Images, index: Any) -> list[int]:
    return np.bincount(found.label[index], minlength=len(found.classes)).tolist()


def assert_apart(found: Images, made: Split) -> None:
    parts = [made.labeled, made.val, made.test]
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together)
    assert not np.isin(made.pool, np.concatenate([made.val, made.test])).any()
    assert (found.label[made.labeled] >= 0).all()
    assert (made.test >= found.train).all() or len(np.unique(made.pool)) == len(made.pool)


def test_digits_test_is_fixed_and_stratified(digits: Images) -> None:
    found = [split(digits, Data(), seed) for seed in (0, 1)]
    assert len(digits.label) == 1797
    assert digits.train == 1000
    assert all(len(made.test) == 797 for made in found)
    assert np.array_equal(found[0].test, found[1].test)
    shares = np.bincount(digits.label[1000:]) / np.bincount(digits.label)
    assert np.abs(shares - 797 / 1797).max() < 0.005


@pytest.mark.parametrize("labels", ["1/class", "4/class", "10/class", "40", "43", "1%", "25%", "all"])
@pytest.mark.parametrize("pool", ["complement", "all"])
def test_parts_are_apart(digits: Images, labels: str, pool: Any) -> None:
    made = split(digits, Data(labels=labels, pool=pool, val=0.0 if labels in ("1/class", "1%") else 0.25), 0)
    assert_apart(digits, made)
    expected = 1000 - len(made.val) - (len(made.labeled) if pool == "complement" else 0)
    assert len(made.pool) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("4/class", [4] * 10),
        ("40", [4] * 10),
        ("1%", [1] * 10),
        ("10%", [10] * 10),
        (" 2/class ", [2] * 10),
    ],
)
def test_counts_of_digits(digits: Images, labels: str, expected: list[int]) -> None:
    assert counts(digits, split(digits, Data(labels=labels), 0).labeled) == expected


def test_percent_is_of_the_class_rounded_and_at_least_one() -> None:
    found = images([10, 149, 151, 1])
    assert counts(found, split(found, Data(labels="1%"), 0).labeled) == [1, 1, 2, 1]
    assert counts(found, split(found, Data(labels="100%"), 0).labeled) == [10, 149, 151, 1]
    assert counts(found, split(found, Data(labels="all"), 0).labeled) == [10, 149, 151, 1]
    assert counts(found, split(found, Data(labels="0.5%"), 0).labeled) == [1, 1, 1, 1]


def test_a_total_is_spread_evenly_and_is_never_more() -> None:
    found = images([20, 20, 20])
    for total in range(1, 20):
        made = counts(found, split(found, Data(labels=str(total)), 0).labeled)
        assert sum(made) == total
        assert max(made) - min(made) <= 1


def test_seeds_differ_and_repeat(digits: Images) -> None:
    first, again, other = (split(digits, Data(), seed) for seed in (0, 0, 1))
    for name in ("labeled", "pool", "val", "test"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert set(first.labeled) != set(other.labeled)
    assert not np.array_equal(first.pool, other.pool)


@pytest.mark.parametrize("seed", range(3))
def test_labels_are_nested(digits: Images, seed: int) -> None:
    sizes = ["1/class", "4/class", "40", "10/class", "30/class", "all"]
    sets = [set(split(digits, Data(labels=labels), seed).labeled) for labels in sizes]
    for smaller, larger in pairwise(sets):
        assert smaller <= larger


def test_pool_is_shuffled(digits: Images) -> None:
    found = images([300, 300])
    pool = split(found, Data(labels="1/class"), 0).pool
    assert not np.array_equal(pool, np.sort(pool))
    assert 100 < int((found.label[pool[:300]] == 0).sum()) < 200


def test_validation_is_cut_from_the_labelled_images(digits: Images) -> None:
    whole = split(digits, Data(), 0)
    made = split(digits, Data(val=0.2), 0)
    assert counts(digits, made.val) == [2] * 10
    assert counts(digits, made.labeled) == [8] * 10
    assert set(made.labeled) | set(made.val) == set(whole.labeled)
    assert set(made.pool) == set(whole.pool)


def test_validation_leaves_every_class_a_label() -> None:
    found = images([5, 5])
    made = split(found, Data(labels="2/class", val=0.9), 0)
    assert counts(found, made.labeled) == [1, 1]
    with pytest.raises(UserError, match="at least two labelled images"):
        split(found, Data(labels="1/class", val=0.5), 0)


def test_tuning_never_sees_the_real_test(digits: Images) -> None:
    made = split(digits, Data(tune=True), 100)
    used = np.concatenate([made.labeled, made.pool, made.val, made.test])
    assert used.max() < digits.train
    assert len(made.test) == pytest.approx(250, abs=5)
    assert max(counts(digits, made.test)) - min(counts(digits, made.test)) <= 2
    assert len(made.labeled) + len(made.pool) + len(made.test) == 1000
    assert_apart(digits, made)
    assert set(made.test) != set(split(digits, Data(tune=True), 101).test)


def test_images_without_a_label_are_in_the_pool_alone() -> None:
    found = images([6, 6], unlabeled=7)
    for data in (Data(labels="2/class"), Data(labels="all"), Data(labels="2/class", tune=True)):
        made = split(found, data, 100)
        hidden = np.flatnonzero(found.label < 0)
        assert np.isin(hidden, made.pool).all()
        assert not np.isin(hidden, made.test).any()
        assert_apart(found, made)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("6/class", "wants 6 images of class 'class 1', which has 5"),
        ("13", "of class 'class 1', which has 5"),
        ("0", "0 labels"),
        ("0/class", "0 labels"),
        ("0%", "above 0%"),
        ("101%", "at most 100%"),
        ("", "10/class, 40, 1% or all"),
        ("-3", "10/class, 40, 1% or all"),
        ("ten", "10/class, 40, 1% or all"),
        ("1e3", "10/class, 40, 1% or all"),
        ("9" * 5000, "labels"),
    ],
)
def test_what_cannot_be_cut_is_refused(labels: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        split(images([20, 5]), Data(labels=labels), 0)
    assert words in str(caught.value)
