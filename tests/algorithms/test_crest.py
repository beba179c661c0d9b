"""CReST: which images are chosen, and the loss, against loops, by hand, and what must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.network import Output
from tests.algorithms.make import POOL, STEP, algorithm, batch, network, part, setup
from tests.algorithms.tiny import CASES, drawn, labelled, log, made_of, mean, softmax

NAME = "crest"


def chosen(p: Tensor, counts: list[int], alpha: float) -> dict[int, int]:
    """Image -> its label, of the mean probabilities (N, C)."""
    ranked = sorted(range(len(counts)), key=lambda c: -counts[c])
    found: dict[int, int] = {}
    for r, c in enumerate(ranked):
        share = (counts[ranked[len(counts) - 1 - r]] / counts[ranked[0]]) ** alpha
        own = [i for i, row in enumerate(p.tolist()) if sum(row) > 0 and row.index(max(row)) == c]
        own.sort(key=lambda i: -max(p[i].tolist()))
        found |= dict.fromkeys(own[: round(share * len(own))], c)
    return found


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("alpha", [0.0, 1 / 3, 2.0])
def test_choice_and_loss_are_the_loop(labeled: int, unlabeled: int, classes: int, alpha: float) -> None:
    made: Any = made_of(NAME, classes, {"algo.alpha": alpha}, labeled=10)
    bias = torch.linspace(0, 1, classes)
    p = (torch.randn(2, POOL, classes, generator=torch.Generator().manual_seed(3)) + bias).softmax(2).double()
    p[0, 0], p[:, 1] = float("nan"), float("nan")
    made.follow(p[:, :10], p)
    average = torch.stack([p[1, 0], torch.zeros(classes), *(p[:, i].mean(0) for i in range(2, POOL))])
    counts = (torch.arange(classes) % 3 + 1).tolist()
    wanted = chosen(average, counts, alpha)
    assert {i: int(row.argmax()) for i, row in enumerate(made.of_unlabeled) if row.any()} == wanted
    given = drawn(NAME, labeled, unlabeled, classes)
    u, total = given["unlabeled"], 10 + len(wanted)
    losses = made(given, STEP)
    z = made.student(u["weak"]).logits
    rows = [log(softmax(row), wanted[i]) if i in wanted else row.sum() * 0 for i, row in enumerate(z)]
    expected = {"supervised": 10 / total * labelled(made, given), "chosen": POOL / total * mean(rows)}
    for name, term in expected.items():
        torch.testing.assert_close(losses.terms[name], term.to(losses.terms[name]), rtol=1e-5, atol=1e-7)
        mine, theirs = (
            torch.autograd.grad(t, list(made.student.parameters()), retain_graph=True)
            for t in (losses.terms[name], term)
        )
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one, other.to(one), rtol=1e-5, atol=1e-7)


def test_by_hand() -> None:
    """Labels 4, 2 and 1: of the images predicted as class 0 a quarter to the third power is taken, of class 2 all."""
    counts = torch.tensor([4, 2, 1])
    made: Any = algorithm(NAME, setup(network(), classes=3, class_counts=counts, labeled=7, unlabeled=8))
    assert made.shares.tolist() == pytest.approx([(1 / 4) ** (1 / 3), (2 / 4) ** (1 / 3), 1])
    sure = [0.9, 0.8, 0.7, 0.6]
    p = torch.tensor([[c, 1 - c, 0] for c in sure] + [[0.1, 0.6, 0.3], [0, 0.9, 0.1]] + [[0.3, 0.3, 0.4], [0, 0, 1]])
    made.follow(p[None, :7], p[None])
    # 0.63 of four is 3, 0.79 of two is 2, all of two
    assert made.of_unlabeled.argmax(1)[made.of_unlabeled.any(1)].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert made.of_unlabeled[3].tolist() == [0, 0, 0], "the least sure one"
    assert made.labelled().item() == pytest.approx(7 / 14)


def test_even_labels_choose_all_and_the_class_number_is_no_rank() -> None:
    even: Any = algorithm(NAME, setup())
    assert even.shares.tolist() == [1] * 5
    order = torch.tensor([3, 0, 4, 2, 1])
    counts = torch.tensor([16, 8, 4, 2, 1])
    falling: Any = algorithm(NAME, setup(class_counts=counts))
    turned: Any = algorithm(NAME, setup(class_counts=counts[order]))
    assert turned.shares.tolist() == falling.shares[order].tolist()


def test_where_nothing_is_chosen_it_is_fixmatch() -> None:
    made, other = (algorithm(name, setup()) for name in (NAME, "fixmatch"))
    whole: Any = made
    whole.of_unlabeled.zero_()
    mine, theirs = made(batch(type(made)), STEP).terms, other(batch(type(other)), STEP).terms
    assert mine["chosen"] == 0
    assert all(math.isclose(mine[name].item(), term.item(), rel_tol=1e-6) for name, term in theirs.items())


def test_a_power_below_0_is_refused() -> None:
    with pytest.raises(UserError, match=r"algo\.alpha must be 0 or more"):
        algorithm(NAME, setup(), {"algo.alpha": -1.0})


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_aligned_label_is_the_loop(power: float) -> None:
    counts, tau = [4, 2, 1, 1, 2], 0.5
    about = setup(class_counts=torch.tensor(counts))
    labeler: Any = part("labeler", "aligned", about, tau=tau, power=power, momentum=0.7).double()
    shares = [(n / 10) ** power for n in counts]
    goal = [s / sum(shares) for s in shares]
    running = goal
    for index in range(4):
        p = (2 * torch.randn(6, 5, generator=torch.Generator().manual_seed(index))).double().softmax(1)
        out, step = Output(p.log(), p), replace(STEP, index=index)
        found = labeler.label(out, out, {}, step)
        for i, row in enumerate(p.tolist()):
            q = [row[c] * (goal[c] + 1e-6) / (running[c] + 1e-6) for c in range(5)]
            sure = max(q) / sum(q)
            assert found.confidence[i].item() == pytest.approx(sure, rel=1e-5)
            assert found.target[i].argmax().item() == q.index(max(q))
            assert found.weight[i].item() == float(sure >= tau)
        labeler.update(found, torch.arange(6), step)
        means = p.mean(0).tolist()
        running = means if index == 0 else [0.7 * a + 0.3 * b for a, b in zip(running, means, strict=True)]


def test_alignment_by_hand() -> None:
    """The rare class is aligned to a third of the time instead of a fifth: t is 1/2, and the shares are 4 to 1."""
    about = setup(classes=2, class_counts=torch.tensor([4, 1]))
    labeler: Any = part("labeler", "aligned", about, tau=0.0, power=0.5)
    assert labeler.align.goal.tolist() == pytest.approx([2 / 3, 1 / 3])
    labeler.align.mean.copy_(torch.tensor([0.8, 0.2]))  # predicted as labels are
    p = torch.tensor([[0.6, 0.4]])
    confidence = labeler.label(Output(p.log(), p), Output(p, p), {}, STEP).confidence
    assert confidence.item() == pytest.approx(0.4 / 0.6 / (0.4 / 0.6 + 0.6 / 1.2), rel=1e-4)
    with pytest.raises(UserError, match=r"labeler\.power must be 0 or more"):
        part("labeler", "aligned", about, power=-1.0)
