"""FineSSL against its equations as loops, an example by hand, and what must hold."""

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
from tests.algorithms.make import POOL, STEP, algorithm, gradient, setup
from tests.algorithms.tiny import CASES, Given, Terms, compare, drawn, entropy, made_of, mean, shown, softmax

NAME = "finessl"
LONG = Step(3, 2000, 11)  # epochs of many steps


def cosine(head: Any, f: Tensor) -> Tensor:
    """s times the cosine of f and each row of the weight."""
    length = (f * f).sum().sqrt()
    return torch.stack([head.scale * (f @ w) / (length * (w * w).sum().sqrt()) for w in head.weight])


def widths(made: Any) -> list[float]:
    counts = [made.learned.seen.tolist().count(c) for c in range(made.classes)]
    a = [n / max(1, *counts) for n in counts]
    return [made.alpha * (max(a) - min(a)) * (1 - x) / (1 + x) for x in a]


def loops(made: Any, given: Batch, step: Step) -> Terms:
    x, u, classes = given["labeled"], given["unlabeled"], made.classes
    main, other, m = made.student.added["main"], made.student.added["auxiliary"], widths(made)

    def pushed(z: Tensor, y: int) -> Tensor:
        return torch.stack([z[c] + m[y] * (c != y) for c in range(classes)])

    eye = torch.eye(classes, dtype=torch.float64)
    labels = x.label.tolist() if x.label is not None else []
    of_x = list(zip(made.student(x["weak"]).features, labels, strict=True))
    terms = {
        "supervised": mean([entropy(eye[y], softmax(pushed(cosine(main, f), y))) for f, y in of_x]),
        "auxiliary": mean([entropy(eye[y], softmax(cosine(other, f.detach()))) for f, y in of_x]),
    }
    zero = torch.zeros((), dtype=torch.float64)
    lost, kept, count = zero, zero, 0
    weak = made.student(u["weak"]).features.detach()
    for i in range(len(weak)):
        p, trust = softmax(cosine(main, weak[i])).detach(), softmax(cosine(other, weak[i])).max().detach()
        y = int(p.argmax())
        for view in ("strong", "strong2"):
            f = made.student(u[view]).features[i]
            lost = lost + trust * entropy(eye[y], softmax(pushed(cosine(main, f), y)))
            if p.max() >= made.tau:
                smooth = torch.full((classes,), made.smoothing / (classes - 1)).double()
                smooth[y] = 1 - made.smoothing
                kept, count = kept + entropy(smooth, softmax(cosine(other, f.detach()))), count + 1
    terms["unlabeled"] = made.lambda_u * lost / (2 * len(weak))
    terms["auxiliary_unlabeled"] = kept / max(1, count)
    return terms


def filled(classes: int, request: dict[str, Any]) -> Any:
    """With heads that differ, softer ones, and uneven counts."""
    made = made_of(NAME, classes, request)
    with torch.no_grad():
        for head, scale in zip(made.student.added.values(), (4.0, 2.5), strict=True):
            head.scale.fill_(scale)
        made.student.added["auxiliary"].weight.add_(torch.randn(classes, 6), alpha=0.5)
    made.learned.update(torch.arange(POOL), (torch.arange(POOL) ** 2 // 50) % (classes + 1))
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float) -> None:
    made = filled(classes, {"algo.tau": tau, "algo.alpha": 3.0, "algo.smoothing": 0.3})
    assert max(widths(made)) > 0.3
    losses = compare(made, loops, drawn(NAME, labeled, unlabeled, classes), near=1e-6)
    assert losses.labels is not None
    assert tau == 0.4 or (losses.terms["auxiliary_unlabeled"] == 0) == (tau == 1)


class Shown(Given):
    """Features are the first numbers of an image."""

    def __init__(self) -> None:
        super().__init__(2)
        self.head = nn.Linear(2, 2)
        self.head.weight.data.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))


def test_by_hand() -> None:
    """Heads (1, 0) and (0, 1) of scale 1; features (-1, 0), (0, -1) and (-1, -1), normed, by rows of p.

    One image counts as class 0 and two as class 1: a = (1/2, 1), the margin of class 0 is 8 / 2 * (1/2) / (3/2).
    """
    made: Any = algorithm(NAME, setup(Shown(), classes=2, unlabeled=3), {"algo.lambda_u": 1.0}).double()
    for head in made.student.added.values():
        head.scale.data.fill_(1.0)
    made.learned.update(torch.arange(3), torch.tensor([1, 0, 1]))
    assert made.margins().tolist() == pytest.approx([4 / 3, 0])
    e = math.exp(-1)
    views = shown((e, 1.0), (1.0, e), (e, e))
    x = Stream({"weak": views}, torch.arange(3), torch.tensor([0, 1, 0]))
    u = Stream({"weak": views, "strong": views, "strong2": views.flip(0)}, torch.arange(3))
    terms = made({"labeled": x, "unlabeled": u}, STEP).terms
    one, even = math.log(1 + math.exp(1)), math.log(2)  # -log p of the lesser and, less 1, of the likelier class
    low, level = math.log(1 + math.exp(1 + 4 / 3)), math.log(1 + math.exp(4 / 3))
    assert terms["supervised"].item() == pytest.approx((low + one + level) / 3)
    assert terms["auxiliary"].item() == pytest.approx((one + one + even) / 3)
    # classes are 1, 0, 0; confidences 0.731059, 0.731059, 1/2; class 0 has the margin
    first = 0.731059 * (one - 1 + even) / 2
    second = 0.731059 * math.log(1 + math.exp(-1 + 4 / 3))
    third = 0.5 * (level + low) / 2
    assert terms["unlabeled"].item() == pytest.approx((first + second + third) / 3, rel=1e-5)
    # the first two are kept; half of the target at either class
    sides = (one + one - 1) / 2
    assert terms["auxiliary_unlabeled"].item() == pytest.approx((sides + even + sides + sides) / 4)


def test_even_counts_have_no_margin() -> None:
    made = made_of(NAME, 5)
    for seen in (torch.full((POOL,), 5), torch.arange(POOL) % 5):
        made.learned.update(torch.arange(len(seen)), seen)
        assert made.margins().tolist() == [0] * 5


def test_the_other_head_sends_no_gradient_to_features() -> None:
    made, given = filled(5, {"algo.tau": 0.0}), drawn(NAME, 3, 6, 5)
    terms = made(given, STEP).terms
    (terms["auxiliary"] + terms["auxiliary_unlabeled"]).backward()
    assert made.student.body.weight.grad is None
    assert made.student.added["main"].weight.grad is None
    assert gradient(made.student.added["auxiliary"].weight).any()


def test_heads_start_from_the_networks_own_and_the_main_one_classifies() -> None:
    made = made_of(NAME, 5)
    for head in made.student.added.values():
        torch.testing.assert_close(head.weight, made.student.head.weight, rtol=1e-6, atol=0)
        assert head.scale.item() == pytest.approx(1 / 0.07)
    images = drawn(NAME, 3, 6, 5)["labeled"]["weak"]
    expected = [cosine(made.student.added["main"], f) for f in made.student(images).features]
    torch.testing.assert_close(made.predict(made.student, images), torch.stack(expected))


def test_classes_are_remembered_for_an_epoch() -> None:
    made, given = filled(5, {"algo.tau": 0.4, "algo.epochs": 4}), drawn(NAME, 3, 6, 5)
    made.learned.forget()
    given = {**given, "unlabeled": replace(given["unlabeled"], index=torch.tensor([7, 3, 7, 9, 11, 30]))}
    losses = made(given, LONG)
    p = made.both(made.student(given["unlabeled"]["weak"]))[0].softmax(1)
    expected = {}
    for i, row in zip([7, 3, 7, 9, 11, 30], p, strict=True):
        if row.max() >= 0.4:
            expected[i] = int(row.argmax())
    assert 0 < len(expected) < 5
    made.after_step([losses], LONG)
    assert {i: c for i, c in enumerate(made.learned.seen.tolist()) if c < 5} == expected
    made.after_step([losses], Step(499, 2000, 0))  # the last step of the first of four epochs
    assert (made.learned.seen == 5).all()


@pytest.mark.parametrize(
    "wrong",
    [{"algo.lambda_u": -1.0}, {"algo.alpha": -1.0}, {"algo.tau": 1.1}, {"algo.smoothing": 1.0}, {"algo.epochs": 0}],
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        made_of(NAME, 5, wrong)
