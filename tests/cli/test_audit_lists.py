"""The two lists of an audit by their maths: a slow search, confident learning as the paper counts, planted labels."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sslkit.finished.audit import See, _suspects
from sslkit.finished.audit.label_next import label_next
from sslkit.finished.audit.suspects import out_of_sample, suspects
from sslkit.finished.seen import Seen


def slow_order(p: np.ndarray, x: np.ndarray, known: np.ndarray, n: int) -> list[int]:
    """By two loops over all pairs."""

    def unit(v: np.ndarray) -> np.ndarray:
        return v / np.sqrt((v * v).sum())

    chosen: list[int] = []
    for _ in range(n):
        best, place = -1.0, -1
        for i in range(len(x)):
            if i in chosen:
                continue
            others = [*known, *(x[j] for j in chosen)]
            near = min(float(np.sqrt(((unit(x[i]) - unit(o)) ** 2).sum())) for o in others)
            high, second = sorted(p[i])[::-1][:2]
            if (1 - (high - second)) * near > best:
                best, place = (1 - (high - second)) * near, i
        chosen.append(place)
    return chosen


def test_the_order_is_that_of_a_slow_search() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4) / 2, 30)
    x, known = rng.normal(size=(30, 6)), rng.normal(size=(5, 6))
    order, score = label_next(p, x, known, 12)
    assert order.tolist() == slow_order(p, x, known, 12)
    assert (np.diff(score) <= 1e-12).all()
    assert sorted(label_next(p, x, known, 99)[0]) == list(range(30))


def test_copies_of_what_is_labelled_or_chosen_come_last() -> None:
    p = np.tile([0.5, 0.5], (5, 1))
    x = np.array([[1.0, 0], [1, 0.01], [0, 1], [0, 1], [-1, 0]])
    order, _ = label_next(p, x, np.array([[2.0, 0]]), 5)
    assert order.tolist()[:2] == [4, 2]
    assert order.tolist()[2] == 1


def slow_suspects(p: Sequence[Sequence[float]], label: Sequence[int], classes: int) -> list[bool]:
    """Confident learning, as the paper counts."""
    threshold = []
    for j in range(classes):
        own = [row[j] for row, y in zip(p, label, strict=True) if y == j]
        threshold.append(sum(own) / len(own) if own else float("inf"))
    found = []
    for row, y in zip(p, label, strict=True):
        sure = [j for j in range(classes) if row[j] >= threshold[j]]
        found.append(bool(sure) and max(sure, key=lambda j: row[j]) != y)
    return found


def test_likely_ones_are_those_that_confident_learning_counts() -> None:
    rng = np.random.default_rng(1)
    p, label = rng.dirichlet(np.ones(5), 200), rng.integers(0, 4, 200)  # no image is labelled 4
    found = suspects(p, label)
    assert found.likely.tolist() == slow_suspects(p.tolist(), label.tolist(), 5)
    assert 0 < found.likely.sum() < 200
    for i in range(200):
        others = {c: p[i, c] for c in range(5) if c != label[i]}
        assert found.suggested[i] == max(others, key=lambda c: others[c])
        assert found.score[i] == pytest.approx(1 - p[i, label[i]])
        assert found.doubted[i] == (max(others.values()) > p[i, label[i]])


def test_no_image_is_judged_by_a_head_that_has_seen_its_label() -> None:
    """An image that alone is far out to one side: with its label a head would be sure of it, without it is not."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 20))
    label = (x[:, 0] > 0).astype(np.int64)
    wrong = np.arange(5)
    label[wrong] = 1 - label[wrong]
    seen = LogisticRegression(C=100.0, max_iter=1000).fit(x, label).predict_proba(x)
    assert (seen[wrong, label[wrong]] > 0.5).mean() > 0.5, "these features can be learned by heart"
    p = out_of_sample(x, label, 2, 0)
    assert (p[wrong, label[wrong]] < 0.5).mean() >= 0.8
    np.testing.assert_allclose(p.sum(1), 1)
    assert (out_of_sample(x, label, 2, 0) == p).all()


def made(true: np.ndarray, given: np.ndarray, held: int) -> Any:
    """Prepared data of images with these labels, the last `held` of them in the test."""
    index = np.arange(len(true))
    split = SimpleNamespace(labeled=index[:-held], val=index[:0], test=index[-held:])
    images = SimpleNamespace(label=given, classes=["a", "b", "c"])
    return SimpleNamespace(split=split, images=images, config=SimpleNamespace(seed=0))


def test_labels_that_were_learned_by_heart_are_judged_by_the_start() -> None:
    """The run's features of labelled images are their labels; those before the run are what the images show."""
    rng = np.random.default_rng(4)
    true = rng.integers(0, 3, 180)
    given = true.copy()
    wrong = np.array([3, 40, 77, 120, 150, 179])
    given[wrong] = (given[wrong] + 1) % 3

    def see(shown: np.ndarray) -> See:
        features = np.eye(3)[shown] + 0.1 * rng.normal(size=(180, 3))
        p = np.full((180, 3), 0.2)
        p[np.arange(180), shown] = 0.6
        return lambda index: Seen(p[index], features[index], np.zeros(len(index)))

    heart = np.where(np.arange(180) < 120, given, true)
    run, start, prepared = see(heart), see(true), made(true, given, held=60)
    assert {row.place for row in _suspects(run(prepared.split.test), start, prepared, run(prepared.split.labeled))} == {
        *wrong.tolist()
    }
    assert {row.place for row in _suspects(run(prepared.split.test), None, prepared, run(prepared.split.labeled))} == {
        120,
        150,
        179,
    }


def test_the_only_tested_image_of_a_class_is_judged_by_the_network() -> None:
    true = np.arange(40) % 2
    true[-1] = 2
    given = true.copy()

    def see(index: np.ndarray) -> Seen:
        return Seen(np.tile([0.8, 0.1, 0.1], (len(index), 1)), np.eye(3)[true[index]], np.zeros(len(index)))

    prepared = made(true, given, held=10)
    found = {row.place: row for row in _suspects(see(prepared.split.test), None, prepared, see(prepared.split.labeled))}
    assert found[39].score == pytest.approx(0.9)


def test_a_class_of_one_image_is_not_judged() -> None:
    rng = np.random.default_rng(3)
    x, label = rng.normal(size=(21, 3)), np.array([0] * 10 + [1] * 10 + [2])
    p = out_of_sample(x, label, 4, 0)
    assert p[20].tolist() == [0, 0, 1, 0]
    assert (p[:20, 2:] == 0).all()
    assert not suspects(p, label).doubted[20]
    assert (out_of_sample(x[:3], np.array([0, 0, 1]), 2, 0)[:, 0] == [1, 1, 0]).all()
