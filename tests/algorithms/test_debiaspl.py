"""DebiasPL against its equations as loops, an example by hand, and what must hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

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
    labelled,
    log,
    made_of,
    mean,
    order,
    shown,
    softmax,
)


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u, labeler = given["unlabeled"], made.labeler
    bias = [labeler.kappa * math.log(m) for m in labeler.mean.tolist()]
    plain, moved = [], []
    for z, s in zip(made.student(u["weak"]).logits, made.student(u["strong"]).logits, strict=True):
        q = softmax(torch.stack([z[c] - bias[c] for c in range(len(z))])).detach()
        weight = float(q.max() >= labeler.tau)
        raised = torch.stack([s[c] + bias[c] for c in range(len(s))])
        plain.append(weight * log(softmax(s), order(q)[0]))
        moved.append(weight * log(softmax(raised), order(q)[0]))
    return {
        "supervised": labelled(made, given),
        "unlabeled": made.lambda_u * mean(plain),
        "margin": made.lambda_u * (mean(moved) - mean(plain)),
    }


def biased(classes: int, **request: Any) -> Any:
    made = made_of("debiaspl", classes, {"algo.lambda_u": 0.7, **request})
    made.labeler.mean.copy_(torch.randn(classes, generator=torch.Generator().manual_seed(4)).softmax(0))
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("kappa", [0.0, 0.4, 1.0])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, kappa: float) -> None:
    made = biased(classes, **{"labeler.tau": tau, "labeler.kappa": kappa})
    compare(made, loops, drawn("debiaspl", labeled, unlabeled, classes))


def test_the_cases_above_change_labels_and_keep_some() -> None:
    made, plain = biased(5, **{"labeler.kappa": 1.0, "labeler.tau": 0.5}), biased(5, **{"labeler.kappa": 0.0})
    given = drawn("debiaspl", 3, 6, 5)
    found, other = (one(given, STEP).labels for one in (made, plain))
    assert 0 < found.weight.sum() < 6
    assert not found.target.equal(other.target)


def test_by_hand() -> None:
    """At kappa 1 and a mean of (1/2, 1/4, 1/4) weights of classes are 1 : 2 : 2 for labels, 2 : 1 : 1 for the student.

    (0.6, 0.35, 0.05) becomes 0.6 : 0.7 : 0.1, of class 1 with 1/2, and (0.8, 0.1, 0.1) 0.8 : 0.2 : 0.2, of class 0 with
    2/3: both are kept. (0.4, 0.3, 0.3) becomes 0.4 : 0.6 : 0.6, its best has 3/8: rejected.
    """
    request = {"labeler.kappa": 1.0, "labeler.tau": 0.49}
    made: Any = algorithm("debiaspl", setup(Given(3), classes=3), request)
    made.labeler.mean.copy_(torch.tensor([0.5, 0.25, 0.25]))
    weak = shown((0.6, 0.35, 0.05), (0.8, 0.1, 0.1), (0.4, 0.3, 0.3))
    strong = shown((0.5, 0.4, 0.1), (0.2, 0.7, 0.1), (0.3, 0.3, 0.4))
    x = Stream({"weak": weak[:1]}, torch.arange(1), torch.tensor([0]))
    losses = made({"labeled": x, "unlabeled": Stream({"weak": weak, "strong": strong}, torch.arange(3))}, STEP)
    assert losses.labels.weight.tolist() == [1.0, 1.0, 0.0]
    assert losses.labels.target.argmax(1)[:2].tolist() == [1, 0]
    assert losses.labels.confidence.tolist() == pytest.approx([0.5, 2 / 3, 3 / 8])
    # 0.5 : 0.4 : 0.1 becomes 1 : 0.4 : 0.1, and 0.2 : 0.7 : 0.1 becomes 0.4 : 0.7 : 0.1
    both = losses.terms["unlabeled"] + losses.terms["margin"]
    assert both.item() == pytest.approx(-(math.log(0.4 / 1.5) + math.log(0.4 / 1.2)) / 3)
    assert losses.terms["unlabeled"].item() == pytest.approx(-(math.log(0.4) + math.log(0.2)) / 3)


def test_without_kappa_or_bias_it_is_fixmatch() -> None:
    given, known = drawn("debiaspl", 3, 6, 5), made_of("fixmatch", 5, {"labeler.tau": 0.4})
    expected = known(given, STEP).terms
    fresh = made_of("debiaspl", 5, {"labeler.tau": 0.4})
    for made in (fresh, biased(5, **{"labeler.kappa": 0.0, "labeler.tau": 0.4, "algo.lambda_u": 1.0})):
        terms = made(given, STEP).terms
        assert terms["unlabeled"].equal(expected["unlabeled"])
        assert terms["margin"].item() == pytest.approx(0, abs=1e-7)


def test_the_mean_is_of_predictions_as_they_are_class_by_class() -> None:
    """The published port takes it over all places at once, and it stays 1/C."""
    made = made_of("debiaspl", 5, {"labeler.momentum": 0.75, "labeler.kappa": 2.0})
    expected = torch.full((5,), 0.2, dtype=torch.float64)
    for index in range(3):
        given = drawn("debiaspl", 2, 6, 5, seed=index)
        p = mean([softmax(z) for z in made.student(given["unlabeled"]["weak"]).logits.detach()])
        expected = 0.75 * expected + 0.25 * p
        made.train_step(Trainer(made), [given], [Step(index, 20, 0)])
        torch.testing.assert_close(made.labeler.mean, expected, rtol=1e-6, atol=1e-8)
    assert expected.std() > 0.01


def test_a_class_that_nobody_predicts_is_finite() -> None:
    made = made_of("debiaspl", 5, {"labeler.tau": 0.0})
    made.labeler.mean.copy_(torch.tensor([1.0, 0, 0, 0, 0]))
    losses = made(drawn("debiaspl", 3, 6, 5), STEP)
    losses.total.backward()
    assert losses.total.isfinite()
    assert all(p.grad.isfinite().all() for p in made.parameters())


def test_options_out_of_range_and_other_labelers_are_refused() -> None:
    with pytest.raises(UserError, match=r"labeler\.kappa"):
        made_of("debiaspl", 5, {"labeler.kappa": -1.0})
    with pytest.raises(UserError, match="--labeler debiaspl"):
        made_of("debiaspl", 5, {"labeler": "threshold"})
    with pytest.raises(UserError, match="--mixer none"):
        made_of("debiaspl", 5, {"mixer": "mixup"})
