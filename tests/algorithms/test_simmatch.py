"""SimMatch against its equations as loops, an example by hand, and what must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sslkit.contracts import Batch, Stream
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.make import STEP, Trainer, algorithm, setup
from tests.algorithms.tiny import (
    CASES,
    Given,
    Terms,
    compare,
    drawn,
    entropy,
    labelled,
    made_of,
    mean,
    shown,
    softmax,
)


def unit(v: Tensor) -> Tensor:
    return v / (v * v).sum().sqrt()


def embedded(made: Any, features: Tensor) -> list[Tensor]:
    """By the two layers of the projector, one image at a time."""
    first, _, second = made.student.added["projector"]
    out = []
    for f in features:
        hidden = first.weight @ f + first.bias
        hidden = torch.stack([h if h > 0 else 0 * h for h in hidden])
        out.append(unit(second.weight @ hidden + second.bias))
    return out


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u, classes = given["unlabeled"], made.bank.classes
    bank, y = made.bank.embedding, made.bank.label.tolist()
    whole = all(c < classes for c in y)
    recent = [row for row in made.align.history if row.any()]
    weak, strong = made.student(u["weak"]), made.student(u["strong"])
    pairs = zip(embedded(made, weak.features.detach()), embedded(made, strong.features), strict=True)
    zero = torch.zeros((), dtype=torch.float64)
    unlabeled, instance = [], []
    for (f, g), z, z_strong in zip(pairs, weak.logits.detach(), strong.logits, strict=True):
        p = softmax(z)
        if recent:
            p = p / (sum(recent) / sum(recent).sum() + 1e-6)
            p = p / p.sum()
        q = p
        if whole:
            a = softmax(torch.stack([f @ row for row in bank]).detach() / made.temperature)
            b = softmax(torch.stack([g @ row for row in bank]) / made.temperature)
            r = torch.stack([a[k] * p[y[k]] for k in range(len(y))])
            instance.append(entropy(r / r.sum(), b))
            of_class = [sum((a[k] for k in range(len(y)) if y[k] == c), zero) for c in range(classes)]
            q = made.alpha * p + (1 - made.alpha) * torch.stack(of_class)
        unlabeled.append(entropy(q, softmax(z_strong)) if q.max() >= made.tau else zero)
    return {
        "supervised": labelled(made, given),
        "unlabeled": made.lambda_u * mean(unlabeled),
        "instance": made.lambda_in * (mean(instance) if whole else zero),
    }


def filled(made: Any, labeled: int, classes: int) -> Any:
    """With a bank of random rows, and two batches in the alignment."""
    generator = torch.Generator().manual_seed(1)
    made.bank.embedding.copy_(torch.nn.functional.normalize(torch.randn(labeled, 128, generator=generator).double()))
    made.bank.label.copy_(torch.arange(labeled) % classes)
    made.align.history[:2] = torch.rand(2, classes, generator=generator).double() + 0.1
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("full", [True, False])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, full: bool) -> None:
    request = {"algo.tau": tau, "algo.lambda_u": 0.7, "algo.lambda_in": 1.3, "algo.alpha": 0.6}
    made = made_of("simmatch", classes, request, labeled=labeled)
    if full:
        filled(made, labeled, classes)
    losses = compare(made, loops, drawn("simmatch", labeled, unlabeled, classes))
    assert (losses.terms["instance"] > 0) == (full and labeled > 1)


class Shown(Given):
    """With a linear head, which heads are added beside."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.head = nn.Linear(classes, classes)


def by_hand(**request: Any) -> Any:
    """`Given` of three classes, an embedding is the first two features; a bank of (1, 0), (0, 1), (1, 0)."""
    made: Any = algorithm("simmatch", setup(Shown(3), classes=3, labeled=3), {"algo.temperature": 1.0, **request})
    made.student.added["projector"] = nn.Linear(3, 128, bias=False)
    with torch.no_grad():
        made.student.added["projector"].weight.zero_()
        made.student.added["projector"].weight[0, 0] = made.student.added["projector"].weight[1, 1] = 1
    made.double()
    made.bank.embedding[0, 0] = made.bank.embedding[1, 1] = made.bank.embedding[2, 0] = 1
    made.bank.label.copy_(torch.tensor([0, 1, 2]))
    weak = shown((0.5, 0.25, 0.25), (0.25, 0.5, 0.25), (1 / 3, 1 / 3, 1 / 3))
    strong = shown((0.25, 0.25, 0.5), (0.5, 0.25, 0.25), (1 / 3, 1 / 3, 1 / 3))
    x = Stream({"weak": weak[:1]}, torch.arange(1), torch.tensor([0]))
    return made, {"labeled": x, "unlabeled": Stream({"weak": weak, "strong": strong}, torch.arange(3))}


def test_by_hand() -> None:
    """Embeddings are normed logarithms: of (0.5, 0.25) it is (-1, -2) / sqrt 5, of equal ones (-1, -1) / sqrt 2.

    With s = e^(-1 / sqrt 5) and t = e^(-2 / sqrt 5) a is (s, t, s) / (2 s + t), (t, s, t) / (2 t + s), and thirds.
    """
    made, given = by_hand(**{"algo.alpha": 0.5, "algo.tau": 0.0})
    losses = made(given, STEP)
    s, t = math.exp(-1 / math.sqrt(5)), math.exp(-2 / math.sqrt(5))
    q = [(0.5 + s / (2 * s + t)) / 2, (0.25 + t / (2 * s + t)) / 2, (0.25 + s / (2 * s + t)) / 2]
    assert losses.labels.target[0].tolist() == pytest.approx(q)
    assert losses.labels.target[2].tolist() == pytest.approx([1 / 3] * 3)
    # r: (s / 2, t / 4, s / 4), (t / 4, s / 2, t / 4), thirds; strong embeddings: (-1, -1), (-1, -2), (-1, -1), normed
    whole = s / 2 + t / 4 + s / 4
    r = [s / 2 / whole, t / 4 / whole, s / 4 / whole], [t / 4, s / 2, t / 4]
    second = -sum(c / sum(r[1]) * math.log(d / (2 * s + t)) for c, d in zip(r[1], (s, t, s), strict=True))
    assert losses.terms["instance"].item() == pytest.approx((math.log(3) + second + math.log(3)) / 3)


def test_of_alpha_one_the_target_is_the_prediction() -> None:
    made, given = by_hand(**{"algo.alpha": 1.0})
    assert made(given, STEP).labels.target[0].tolist() == pytest.approx([0.5, 0.25, 0.25])


def test_an_even_bank_gives_likenesses_by_class() -> None:
    made, _ = by_hand()
    p = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    _, related = made.matched(p, torch.full((1, 3), 1 / 3, dtype=torch.float64))
    assert related[0].tolist() == pytest.approx(p[0].tolist())


def test_labels_have_no_gradient_and_halves_count_half() -> None:
    made = filled(made_of("simmatch", 5, {"algo.tau": 0.0}, labeled=4), 4, 5)
    given = drawn("simmatch", 4, 6, 5)
    all_kept = made(given, STEP)
    made.tau = sorted(all_kept.labels.confidence.tolist())[3]
    kept = all_kept.labels.confidence >= made.tau
    losses = made(given, STEP)
    per_image = -(losses.labels.target * made.student(given["unlabeled"]["strong"]).logits.log_softmax(1)).sum(1)
    assert losses.terms["unlabeled"].item() == pytest.approx((per_image[kept].sum() / 6).item())
    assert not losses.labels.target.requires_grad
    assert losses.terms["unlabeled"] < all_kept.terms["unlabeled"]


def test_after_the_step_the_bank_follows_and_the_last_of_two_counts() -> None:
    made = made_of("simmatch", 5, labeled=4)
    given = drawn("simmatch", 3, 6, 5)
    x = replace(given["labeled"], index=torch.tensor([2, 0, 2]), label=torch.tensor([3, 1, 3]))
    given = {**given, "labeled": x}
    first = torch.stack(embedded(made, made.student(x["weak"]).features)).detach()
    made.after_step([made(given, STEP)], STEP)
    assert made.bank.label.tolist() == [1, 5, 3, 5]
    torch.testing.assert_close(made.bank.embedding[[0, 2]], first[[1, 2]])
    assert not made.bank.embedding[[1, 3]].any()
    made.bank.embedding[0] = row = unit(torch.arange(128.0).double())
    made.after_step([made(given, STEP)], STEP)
    torch.testing.assert_close(made.bank.embedding[0], unit(0.7 * row + 0.3 * first[1]))
    assert not made.bank.whole()
    expected = made.student(given["unlabeled"]["weak"]).p.mean(0)
    torch.testing.assert_close(made.align.history[STEP.index], expected.detach())


def test_a_step_counts_the_bank_as_it_was() -> None:
    made = made_of("simmatch", 5, labeled=3)
    given = drawn("simmatch", 3, 6, 5)
    (first,) = made.train_step(Trainer(made), [given], [STEP])
    (second,) = made.train_step(Trainer(made), [given], [STEP])
    assert first.terms["instance"] == 0 < second.terms["instance"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"algo.tau": 1.1},
        {"algo.alpha": -0.1},
        {"algo.lambda_u": -1.0},
        {"algo.lambda_in": -1.0},
        {"algo.temperature": 0.0},
        {"algo.batches": 0},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        made_of("simmatch", 5, wrong)
