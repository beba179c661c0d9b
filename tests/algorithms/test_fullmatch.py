"""FullMatch against its equations as loops, an example by hand, and what must hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sslkit.contracts import Batch, Stream
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.make import STEP, algorithm, setup
from tests.algorithms.tiny import (
    CASES,
    Given,
    Terms,
    compare,
    drawn,
    entropy,
    labelled,
    log,
    made_of,
    mean,
    order,
    shown,
    softmax,
)


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u, tau, cap = given["unlabeled"], made.labeler.tau, made.cap
    weak = [softmax(z).detach() for z in made.student(u["weak"]).logits]
    strong = [softmax(z) for z in made.student(u["strong"]).logits]
    n = len(weak)
    k = 2
    while any(order(a)[0] not in order(b)[:k] for a, b in zip(weak, strong, strict=True)):
        k += 1
    zero = torch.zeros((), dtype=torch.float64)
    unlabeled, negative, entries = zero, zero, []
    for p, q in zip(weak, strong, strict=True):
        likely, kept = order(p), p.max() >= tau
        if kept:
            unlabeled = unlabeled + log(q, likely[0])
        for c in likely[k:]:
            if q[c] <= cap:
                negative = negative - (1 - q[c]).log()
        t = (1 - q[likely[0]] - sum((q[c] for c in likely[k:]), zero) + 1e-7) / (k - 1)
        for c in likely[1:k]:
            if kept and q[c] <= cap:
                entries.append(entropy(torch.stack([t, 1 - t]), torch.stack([q[c], 1 - q[c]])))
    scale = made.lambda_u
    return {
        "supervised": labelled(made, given),
        "unlabeled": scale * unlabeled / n,
        "negative": scale * negative / n,
        "meaning": scale * (mean(entries) if entries else zero),
    }


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("cap", [0.2, 0.9025])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, cap: float) -> None:
    request = {"labeler.tau": tau, "algo.cap": cap, "algo.lambda_u": 0.7}
    compare(made_of("fullmatch", classes, request), loops, drawn("fullmatch", labeled, unlabeled, classes))


def by_hand(strong: torch.Tensor, **request: Any) -> Any:
    weak = shown((0.7, 0.1, 0.05, 0.15), (0.6, 0.2, 0.15, 0.05), (0.3, 0.4, 0.2, 0.1))
    made = algorithm("fullmatch", setup(Given(4), classes=4), {"labeler.tau": 0.5, **request})
    x = Stream({"weak": weak[:1]}, torch.arange(1), torch.tensor([0]))
    given = {"labeled": x, "unlabeled": Stream({"weak": weak, "strong": strong}, torch.arange(3))}
    losses = made(given, STEP)
    losses.total.backward()
    return losses.terms


def test_by_hand() -> None:
    """k is 2: the first classes 0, 0, 1 are among the two likeliest. O: {1, 2}, {2, 3}, {2, 3}; R: {3}, {1}, not kept.

    Of t there is one class, its own probability: binary entropy of 0.3 and of 0.5, and of 0.2 none, as it is not kept.
    """
    terms = by_hand(shown((0.6, 0.05, 0.05, 0.3), (0.3, 0.5, 0.1, 0.1), (0.2, 0.6, 0.1, 0.1)))
    outside = [0.05, 0.05, 0.1, 0.1, 0.1, 0.1]
    assert terms["negative"].item() == pytest.approx(sum(-math.log(1 - p) for p in outside) / 3, rel=1e-6)
    of_03 = -(0.3 * math.log(0.3) + 0.7 * math.log(0.7))
    assert terms["meaning"].item() == pytest.approx((of_03 + math.log(2)) / 2, rel=1e-5)


def test_one_outlier_leaves_no_class_outside() -> None:
    """The third image's class is the strong view's last: k is 4, and t the mean of the other three."""
    terms = by_hand(shown((0.7, 0.05, 0.05, 0.2), (0.7, 0.1, 0.1, 0.1), (0.4, 0.1, 0.3, 0.2)))
    assert terms["negative"].item() == 0
    halves = [(0.1, 0.05), (0.1, 0.05), (0.1, 0.2)] + 3 * [(0.1, 0.1)]
    expected = [-(t * math.log(p) + (1 - t) * math.log(1 - p)) for t, p in halves]
    assert terms["meaning"].item() == pytest.approx(sum(expected) / 6, rel=1e-5)


def test_certain_strong_views_are_finite() -> None:
    sure = torch.tensor([[0.0, 200.0, 0, 0], [300.0, 0, 0, 0], [0, 400.0, 0, 0]], dtype=torch.float64)[:, :, None, None]
    assert all(term.isfinite() for term in by_hand(sure).values())


def test_nothing_kept_still_learns_what_images_are_not() -> None:
    made = made_of("fullmatch", 5, {"labeler.tau": 1.0})
    losses = made(drawn("fullmatch", 3, 6, 5), STEP)
    losses.total.backward()
    assert losses.terms["unlabeled"] == losses.terms["meaning"] == 0
    assert losses.terms["negative"] >= 0
    assert all(p.grad.isfinite().all() for p in made.parameters())


def test_it_takes_other_thresholds() -> None:
    """FullFlex: the masks are FlexMatch's."""
    made = made_of("fullmatch", 5, {"labeler": "flexmatch"})
    losses = made(drawn("fullmatch", 3, 6, 5), STEP)
    assert losses.labels.weight.all()


@pytest.mark.parametrize("cap", [0.0, 1.0])
def test_caps_out_of_range_are_refused(cap: float) -> None:
    with pytest.raises(UserError, match=r"algo\.cap"):
        made_of("fullmatch", 5, {"algo.cap": cap})
