"""UDAL and ADELLO: against loops in float64, examples worked by hand, and what they are at their ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.contracts import Batch, PseudoLabels
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from tests.algorithms.long_tail import CASES, adjusted, best, counts_of, drawn, logs, of, shares_of, tailed, weighed
from tests.algorithms.make import algorithm, setup
from tests.algorithms.tiny import Terms, compare, entropy, log, mean, softmax

M = 0.8


def power(p: list[float], a: float) -> list[float]:
    raised = [x**a for x in p]
    return [x / sum(raised) for x in raised]


def unified(made: Any, given: Batch, step: Step, complement: bool) -> Terms:
    """The loops."""
    net, x, u = made.student, given["labeled"], given["unlabeled"]
    found: list[float] = made.labeler.mean.tolist()
    prior = shares_of(counts_of(len(found)))
    a = 1 - (1 - made.least) * (step.index / step.total) ** made.power
    goal = logs(power(found if complement else prior, a))
    for_labeled = [p - g for p, g in zip(logs(prior), goal, strict=True)]
    for_unlabeled = [p - g for p, g in zip(logs(found), goal, strict=True)]
    assert x.label is not None
    out_x, weak, strong = net(x["weak"]).logits, net(u["weak"]).logits, net(u["strong"]).logits
    supervised = [log(softmax(adjusted(z, for_labeled)), y) for z, y in zip(out_x, x.label.tolist(), strict=True)]
    unlabeled, rejected = [], []
    for z, s in zip(weak, strong, strict=True):
        p, q = softmax(z).detach(), softmax(adjusted(s, for_unlabeled))
        y, o = best(p)
        unlabeled.append(float(o >= made.labeler.tau) * log(q, y))
        rejected.append(float(o < made.labeler.tau) * entropy(p, q))
    terms = {"supervised": mean(supervised), "unlabeled": made.lambda_u * mean(unlabeled)}
    if complement:
        strength = made.weight if step.index >= made.wait * step.total else 0.0
        terms["rejected"] = strength * mean(rejected)
    return terms


@pytest.mark.parametrize("index", [0, 7, 19])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("name", ["udal", "adello"])
def test_it_is_the_loop(name: str, labeled: int, unlabeled: int, classes: int, tau: float, index: int) -> None:
    request = {"labeler.tau": tau, "algo.least": 0.2, "algo.power": 1.5, "algo.lambda_u": 0.7, "algo.weight": 0.6}
    made = tailed(name, classes, request)
    generator = torch.Generator().manual_seed(index)
    made.labeler.mean.copy_(torch.rand(classes, generator=generator).softmax(0))

    def oracle(other: Any, given: Batch, step: Step) -> Terms:
        return unified(other, given, step, name == "adello")

    given = drawn(name, labeled, unlabeled, classes, seed=index)
    losses = compare(made, oracle, given, Step(index, 20, 3), near=1e-6)  # shares of labels are float32
    if tau == 1.0:
        assert losses.terms["unlabeled"].item() == 0


def extra(made: Any, strong: Output, labels: PseudoLabels, step: Step, weak: Output | None = None) -> dict[str, Tensor]:
    found: dict[str, Tensor] = made.extra(strong, weak or strong, strong, labels, {}, step)
    return found


def test_udal_by_hand() -> None:
    """Labels 4, 2, 2 at a = 1/2 (of the square at half-way, least 0 and power 1): pi (1/2, 1/4, 1/4).

    g is (1 / sqrt 2, 1/2, 1/2) normalised, pi / g goes as (1 / sqrt 2, 1/2, 1/2): an even logit of the first class
    becomes sqrt 2 / (2 + sqrt 2) of the probability.
    """
    made = tailed("udal", 3, {"algo.least": 0.0, "algo.power": 1.0}, counts=[4, 2, 2])
    even = of(*[(1 / 3, 1 / 3, 1 / 3)] * 3)
    half = Step(10, 20, 0)
    share = math.sqrt(2) / (2 + math.sqrt(2))
    found = made.supervised(even, torch.tensor([0, 0, 0]), half)
    assert found.item() == pytest.approx(-math.log(share))
    made.labeler.mean.copy_(torch.tensor([0.5, 0.25, 0.25]))
    labels = weighed(1, 0, 1, classes=3)
    assert extra(made, even, labels, half)["unlabeled"].item() == pytest.approx(-2 / 3 * math.log(share))
    made.labeler.mean.copy_(torch.tensor([0.25, 0.25, 0.5]))  # m / g goes as (1, sqrt 2, 2 sqrt 2) / 4
    expected = -2 / 3 * math.log(1 / (1 + 3 * math.sqrt(2)))
    assert extra(made, even, labels, half)["unlabeled"].item() == pytest.approx(expected)


def test_adello_by_hand() -> None:
    """With even m nothing is corrected for unlabelled images: the rejected one has H((0.7, 0.2, 0.1), even) = ln 3."""
    made = tailed("adello", 3, {"algo.wait": 0.5, "algo.weight": 2.0}, counts=[4, 2, 2])
    weak, even = of(*[(0.7, 0.2, 0.1)] * 3), of(*[(1 / 3, 1 / 3, 1 / 3)] * 3)
    for index, expected in ((9, 0.0), (10, 2 * math.log(3) / 3)):
        found = extra(made, even, weighed(1, 0, 1, classes=3), Step(index, 20, 0), weak.detach())
        assert found["rejected"].item() == pytest.approx(expected)
        assert found["unlabeled"].item() == pytest.approx(2 * math.log(3) / 3)


def test_udal_is_fixmatch_at_first_where_the_pool_is_as_the_labels() -> None:
    given = drawn("udal", 4, 6, 5)
    made, plain = (tailed(name, request={"labeler.tau": 0.5}) for name in ("udal", "fixmatch"))
    made.labeler.mean.copy_(made.prior)
    found, expected = (one(given, Step(0, 20, 0)).terms for one in (made, plain))
    assert found.keys() == expected.keys()
    for name, term in found.items():
        torch.testing.assert_close(term, expected[name])


@pytest.mark.parametrize("index", [0, 9, 19])
def test_even_labels_are_not_corrected_by_udal(index: int) -> None:
    """And adello's are at a = 1, that is at first, where m is even, too."""
    for name in ("udal", "adello"):
        made = tailed(name, counts=[3, 3, 3, 3, 3])
        assert made.correction(made.prior, Step(index, 20, 0)).tolist() == pytest.approx([0] * 5, abs=1e-6)


def test_the_estimate_is_the_running_mean_of_predictions() -> None:
    made = tailed("adello", request={"labeler.momentum": M})
    expected = torch.full((5,), 0.2, dtype=torch.float64)
    for seed in range(3):
        given = [drawn("adello", 2, 3, 5, seed=2 * seed + k) for k in range(2)]
        p = torch.cat([made.student(one["unlabeled"]["weak"]).p for one in given]).detach()
        made.after_step([made(one, Step(seed, 9, 0)) for one in given], Step(seed, 9, 0))
        expected = M * expected + (1 - M) * sum(p) / 6
        torch.testing.assert_close(made.labeler.mean, expected)


@pytest.mark.parametrize("name", ["udal", "adello"])
@pytest.mark.parametrize(
    "wrong", [{"algo.least": 1.5}, {"algo.power": 0.0}, {"labeler": "threshold"}, {"mixer": "pseudo"}]
)
def test_what_it_cannot_do_is_refused(name: str, wrong: dict[str, Any]) -> None:
    words = {"algo.least": "algo.least", "algo.power": "algo.power", "labeler": "--labeler prior"}
    with pytest.raises(UserError, match=words.get(next(iter(wrong)), "--mixer none")):
        algorithm(name, setup(), wrong)


@pytest.mark.parametrize("wrong", [{"algo.weight": -1.0}, {"algo.wait": 2.0}])
def test_adellos_own_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        algorithm("adello", setup(), wrong)
