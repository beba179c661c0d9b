"""Long tails that are made for experiments: counts by the published rule, nothing else of a split moves."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from sslkit.config import Data
from sslkit.data import Images
from sslkit.data.splits import Split, split
from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.cli.call import assert_refused, run

PER_CLASS, TEST = 60, 5


def images(classes: int, label: np.ndarray | None = None) -> Images:
    train = np.repeat(np.arange(classes), PER_CLASS)
    every = np.concatenate([train if label is None else label, np.repeat(np.arange(classes), TEST)])
    names = [str(i) for i in range(len(every))]
    return Images(np.zeros((len(every), 3, 4, 4), np.uint8), every, len(train), [*"abcdefgh"[:classes]], "", names)


def counts(found: Images, index: np.ndarray) -> list[int]:
    return np.bincount(found.label[index], minlength=len(found.classes)).tolist()


def tail(first: int, gamma: int, classes: int) -> list[int]:
    """n_1 gamma^(-c / (C - 1)), rounded down, found by trying: the largest n with n^(C-1) gamma^c <= n_1^(C-1)."""
    found = []
    for c in range(classes):
        power = Fraction(first) ** (classes - 1) / Fraction(gamma) ** c
        found.append(max(n for n in range(first + 1) if Fraction(n) ** (classes - 1) <= power))
    return [max(1, n) for n in found]


@pytest.mark.parametrize(
    ("text", "labeled", "unlabeled"),
    [("10", 10, 10), ("10:1", 10, 1), ("20:-4", 20, -4), ("1", 1, 1), ("-5:5", -5, 5), ("100", 100, 100)],
)
@pytest.mark.parametrize("pool", ["complement", "all"])
@pytest.mark.parametrize("classes", [2, 5])
def test_labels_and_pool_have_the_published_counts(
    text: str, labeled: int, unlabeled: int, pool: str, classes: int
) -> None:
    made = images(classes)
    found = split(made, Data(labels="20/class", pool=pool, imbalance=text), seed=3)
    expected = tail(20, abs(labeled), classes)[:: 1 if labeled > 0 else -1]
    assert counts(made, found.labeled) == expected
    rest = found.pool if pool == "complement" else np.setdiff1d(found.pool, found.labeled)
    there = counts(made, rest)
    free = [PER_CLASS - n for n in expected]
    assert all(n <= most for n, most in zip(there, free, strict=True))
    share = [abs(unlabeled) ** (-c / (classes - 1)) for c in range(classes)][:: 1 if unlabeled > 0 else -1]
    largest = min(most / s for most, s in zip(free, share, strict=True))
    assert there == [max(1, math.floor(largest * s + 1e-6)) for s in share]
    assert any(n == most for n, most in zip(there, free, strict=True)), "as many as there can be"
    assert len(np.intersect1d(found.pool, found.labeled)) == (0 if pool == "complement" else len(found.labeled))


def test_the_test_part_and_the_order_of_labels_stay() -> None:
    """Labels of a tail are among those without one, so runs are matched as far as they can be."""
    made = images(4)
    even, long = (split(made, Data(labels="8/class", imbalance=text), seed=1) for text in ("", "8"))
    assert np.array_equal(even.test, long.test)
    assert {*long.labeled.tolist()} < {*even.labeled.tolist()}
    again: Split = split(made, Data(labels="8/class", imbalance="8"), seed=1)
    assert np.array_equal(again.pool, long.pool)
    assert not np.array_equal(split(made, Data(labels="8/class", imbalance="8"), seed=2).pool, long.pool)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"labels": "40", "imbalance": "10"}, "needs labels as N/class"),
        ({"labels": "all", "imbalance": "10"}, "needs labels as N/class"),
        ({"labels": "60/class", "imbalance": "10"}, "no image of class 'a' is left"),
    ],
)
def test_what_cannot_be_is_said(keys: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        split(images(3), Data(**keys), seed=0)  # type: ignore[arg-type]


def test_a_pool_without_labels_cannot_be_made_rare() -> None:
    label = np.repeat(np.arange(3), PER_CLASS)
    label[::2] = -1
    with pytest.raises(UserError, match="images lack"):
        split(images(3, label), Data(labels="4/class", imbalance="2"), seed=0)


@pytest.mark.parametrize("text", ["0.5", "x", "1:2:3", "0", "nan", "inf", ":3"])
def test_other_words_are_refused(text: str) -> None:
    assert_refused(run("--imbalance", text), "data.imbalance must be one or two numbers from 1 up")


def test_a_run_says_what_was_made() -> None:
    made = prepare({"data.imbalance": "10:-10", "backbone": "vit_micro"})
    (said,) = [remark for remark in made.remarks if "long tails" in remark]
    assert f"10 of '0' to 1 of '9' labelled ({sum(tail(10, 10, 10))} in all)" in said
    n = counts(made.images, made.split.pool)
    assert f"{n[0]} of '0' to {n[9]} of '9' in the pool ({sum(n)} in all)" in said
    assert n[0] < n[9] / 8
