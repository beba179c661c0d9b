"""DARP: its refinement against Sinkhorn's method and against other solutions, its tables against a loop."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.algorithms.labelers import darp
from sslkit.algorithms.labelers.darp import balance, refine
from sslkit.contracts import PseudoLabels, Stream
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from tests.algorithms.make import part, setup


def drawn(n: int, classes: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(n, classes, generator=generator, dtype=torch.float64)).softmax(1)


def far(q: Tensor, p: Tensor, weights: list[float]) -> float:
    """The loop: sum_i w_i KL(q_i || p_i)."""
    found = 0.0
    for w, a, b in zip(weights, q.tolist(), p.tolist(), strict=True):
        found += w * sum(x * math.log(x / y) for x, y in zip(a, b, strict=True))
    return found


GOAL = torch.tensor([12.0, 6.0, 2.0], dtype=torch.float64)


def test_rows_and_columns_have_their_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    p = drawn(20, 3)
    q = refine(p, GOAL, 100.0)
    torch.testing.assert_close(q.sum(1), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(q.sum(0), GOAL, rtol=0.02, atol=0)
    monkeypatch.setattr(darp, "ROUNDS", 200)
    torch.testing.assert_close(refine(p, GOAL, 100.0).sum(0), GOAL, rtol=1e-6, atol=0)


def test_predictions_that_have_the_sums_stay() -> None:
    p = drawn(20, 3)
    torch.testing.assert_close(refine(p, p.sum(0), 100.0), p, rtol=1e-4, atol=1e-5)


def test_of_equal_entropies_it_is_sinkhorns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are permutations of one another; the loop scales columns and rows in turn."""
    monkeypatch.setattr(darp, "ROUNDS", 100)
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 1, 0], [0, 1, 2], [1, 2, 0]]
    expected = [[[0.6, 0.3, 0.1][c] for c in order] for order in orders]
    goal = [2.0, 1.0, 3.0]
    found = balance(torch.tensor(expected, dtype=torch.float64), torch.tensor(goal, dtype=torch.float64))
    for _ in range(200):
        sums = [sum(row[c] for row in expected) for c in range(3)]
        expected = [[x * goal[c] / sums[c] for c, x in enumerate(row)] for row in expected]
        expected = [[x / sum(row) for x in row] for row in expected]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)


def test_no_other_table_with_these_sums_is_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moves along two rows and two columns keep all sums: each, either way, is farther by the weighted divergence."""
    monkeypatch.setattr(darp, "ROUNDS", 300)
    p = drawn(8, 3, seed=4)
    q = balance(p, torch.tensor([4.0, 3.0, 1.0], dtype=torch.float64))
    weights = [-1 / sum(x * math.log(x) for x in row) for row in p.tolist()]
    least = far(q, p, weights)
    for i, j in ((0, 1), (2, 5), (3, 7), (4, 6)):
        for a, b in ((0, 1), (1, 2), (0, 2)):
            for move in (1e-3, -1e-3):
                other = q.clone()
                other[i, a] += move
                other[i, b] -= move
                other[j, a] -= move
                other[j, b] += move
                assert far(other, p, weights) > least


def test_only_the_likeliest_of_a_class_count() -> None:
    """By hand: M (1, 2) and alpha 1. Of column 0 image 0 is kept, of column 1 images 1 and 2: what is left is sure."""
    p = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]], dtype=torch.float64)
    q = refine(p, torch.tensor([1.0, 2.0], dtype=torch.float64), 1.0)
    torch.testing.assert_close(q, torch.tensor([[1.0, 0], [0, 1], [0, 1]], dtype=torch.float64), atol=1e-4, rtol=0)


@pytest.mark.parametrize("classes", [2, 100])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_sure_and_even_predictions_are_finite(classes: int, scale: float) -> None:
    p = drawn(30, classes, scale=scale).float()
    q = refine(p, torch.full((classes,), 30 / classes), 2.0)
    assert q.isfinite().all()
    torch.testing.assert_close(q.sum(1), torch.ones(30))


def test_rows_that_are_sure_to_the_last_bit_are_finite() -> None:
    p = torch.tensor([[1.0, 1e-30], [1.0, 1e-30], [1e-30, 1.0]])
    assert balance(p, torch.tensor([1.0, 2.0])).isfinite().all()


def ask(labeler: Any, p: Tensor, index: list[int], step: Step) -> PseudoLabels:
    out = Output(p.log(), torch.zeros(len(p), 2))
    given = {"unlabeled": Stream({}, torch.tensor(index))}
    found: PseudoLabels = labeler.label(out, out, given, step)
    labeler.update(found, torch.tensor(index), step)
    return found


def test_tables_are_the_loop() -> None:
    """Plain predictions first, then rows that were refined in the first step that may, and in every third one."""
    counts = torch.tensor([3, 1, 0])
    made = setup(classes=3, class_counts=counts, unlabeled=6)
    labeler = part("labeler", "darp", made, tau=0.6, wait=0.25, every=3).double()
    last, refined = torch.full((6, 3), 1 / 3, dtype=torch.float64), None
    kept = []
    for i in range(20):
        p, index = drawn(4, 3, seed=i, scale=2.0), [(5 * i + 2 * k) % 6 for k in range(3)] + [5 * i % 6]
        found = ask(labeler, p, index, Step(i, 20, 0))
        q = p if i <= 5 else refined[index]  # type: ignore[index]
        assert found.confidence.tolist() == pytest.approx(q.amax(1).tolist())
        assert found.target.argmax(1).tolist() == q.argmax(1).tolist()
        assert found.weight.tolist() == [float(o >= 0.6) for o in q.amax(1).tolist()]
        kept += found.weight.tolist()
        for row, place in zip(p, index, strict=True):
            last[place] = row
        if i == 5 or (i > 5 and i % 3 == 2):
            refined = refine(last, torch.tensor([3.6, 1.2, 1.2], dtype=torch.float64), 2.0)
        torch.testing.assert_close(labeler.last, last)
    assert {*kept} == {0.0, 1.0}


@pytest.mark.parametrize("wrong", [{"tau": 2.0}, {"alpha": 0.0}, {"wait": -1.0}, {"every": 0}])
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"labeler.{next(iter(wrong))}"):
        part("labeler", "darp", setup(), **wrong)
