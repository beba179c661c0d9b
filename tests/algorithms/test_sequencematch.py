"""SequenceMatch against its equations as loops, an example by hand, and what must hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.contracts import Batch, Losses, Stream
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.make import STEP, algorithm, gradient, seen_as, setup
from tests.algorithms.tiny import CASES, Given, Terms, compare, drawn, labelled, log, made_of, shown, softmax

PAIRS = ("weak to medium", "medium to strong", "weak to strong")
PUBLISHED = {"tau": 0.95, "temperature": 0.5, "lambda_u": 1.0}


def divergence(milder: Tensor, harder: Tensor, temperature: float) -> Tensor:
    """KL of the sharpened prediction, a constant, from the other, of logits (C,)."""
    target, p = softmax(milder.detach() / temperature), softmax(harder)
    return sum((target[c] * (target[c].log() - p[c].log()) for c in range(len(p))), torch.zeros((), dtype=p.dtype))


def thresholds(made: Any, classes: int) -> list[float]:
    """FlexMatch's, of the class that was last learned from every image of the pool."""
    seen = made.labeler.learned.seen.tolist()
    counts = [seen.count(c) for c in range(classes + 1)]
    betas = [counts[c] / max(1, *counts) for c in range(classes)]
    return [made.labeler.tau * beta / (2 - beta) for beta in betas]


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u = given["unlabeled"]
    z = {view: made.student(u[view]).logits for view in ("weak", "medium", "strong")}
    n, classes = z["weak"].shape
    least = thresholds(made, classes)
    terms = {key: torch.zeros((), dtype=torch.float64) for key in ("unlabeled", *PAIRS)}
    for i in range(n):
        p = softmax(z["weak"][i]).tolist()
        y = p.index(max(p))
        if p[y] >= least[y]:
            terms["unlabeled"] = terms["unlabeled"] + made.lambda_u * log(softmax(z["strong"][i]), y) / n
        for key in PAIRS:
            a, _, b = key.split()
            if max(softmax(z[a][i]).tolist()) >= made.tau:
                apart = divergence(z[a][i], z[b][i], made.temperature)
                terms[key] = terms[key] + made.lambda_u * apart / n
    return {"supervised": labelled(made, given), **terms}


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, temperature: float) -> None:
    request = {"algo.tau": tau, "algo.temperature": temperature, "algo.lambda_u": 0.7}
    made = made_of("sequencematch", classes, request)
    made.labeler.learned.update(
        torch.arange(30), torch.arange(30) % min(classes, 3)
    )  # some classes have a threshold above 0
    compare(made, loops, drawn("sequencematch", labeled, unlabeled, classes))


def by_hand(**request: Any) -> Losses:
    weak, medium = shown((0.8, 0.2), (0.6, 0.4), (0.1, 0.9)), shown((0.7, 0.3), (0.8, 0.2), (0.4, 0.6))
    strong = shown((0.5, 0.5), (0.6, 0.4), (0.5, 0.5))
    made = algorithm("sequencematch", setup(Given(2), classes=2), {"algo.tau": 0.75, **request})
    x = Stream({"weak": weak[:1]}, torch.arange(1), torch.tensor([0]))
    views = {"weak": weak, "medium": medium, "strong": strong}
    losses: Losses = made({"labeled": x, "unlabeled": Stream(views, torch.arange(3))}, STEP)
    losses.total.backward()
    return losses


def kl(q: float, p: float) -> float:
    return q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))


def test_by_hand() -> None:
    """Of the weak views the first and third are sure, of the medium ones the second. Squares are p at temperature 1/2.

    0.8, 0.2 become 16/17, 1/17 and 0.1, 0.9 become 1/82, 81/82. Nothing is learned yet: FlexMatch keeps all three.
    """
    terms = by_hand().terms
    assert list(terms) == ["supervised", "unlabeled", *PAIRS]
    assert terms["unlabeled"].item() == pytest.approx(-(math.log(0.5) + math.log(0.6) + math.log(0.5)) / 3)
    assert terms[PAIRS[0]].item() == pytest.approx((kl(16 / 17, 0.7) + kl(1 / 82, 0.4)) / 3)
    assert terms[PAIRS[1]].item() == pytest.approx(kl(16 / 17, 0.6) / 3)
    assert terms[PAIRS[2]].item() == pytest.approx((kl(16 / 17, 0.5) + kl(1 / 82, 0.5)) / 3)


def test_the_milder_view_is_a_constant() -> None:
    """The medium view is a student in the first term alone; in the second only the strong one is."""
    made = made_of("sequencematch", 5, {"algo.tau": 0.0})
    given = drawn("sequencematch", 3, 6, 5)
    u = given["unlabeled"]
    medium = u["medium"].clone().requires_grad_()
    losses = made(seen_as(given, {"medium": medium}), STEP)
    second = torch.autograd.grad(losses.terms[PAIRS[1]], medium, retain_graph=True, allow_unused=True)
    assert all(g is None for g in second)
    assert torch.autograd.grad(losses.terms[PAIRS[0]], medium)[0].any()


def test_equal_views_at_temperature_one_are_not_apart() -> None:
    made = made_of("sequencematch", 5, {"algo.tau": 0.0, "algo.temperature": 1.0})
    given = drawn("sequencematch", 3, 6, 5)
    same = dict.fromkeys(("medium", "strong"), given["unlabeled"]["weak"])
    terms = made(seen_as(given, same), STEP).terms
    assert all(terms[key].abs() < 1e-12 for key in PAIRS)


def test_nothing_kept_is_finite() -> None:
    made = made_of("sequencematch", 5, {"algo.tau": 1.0, "labeler.tau": 1.0})
    pool = torch.arange(len(made.labeler.learned.seen))
    made.labeler.learned.update(pool, pool % 5)  # every threshold is 1
    losses = made(drawn("sequencematch", 3, 6, 5), STEP)
    losses.total.backward()
    assert not losses.labels.weight.any()
    assert all(losses.terms[key] == 0 for key in ("unlabeled", *PAIRS))
    assert all(gradient(p).isfinite().all() for p in made.parameters())


def test_certain_predictions_are_finite() -> None:
    made = algorithm("sequencematch", setup(Given(2), classes=2))
    z = torch.tensor([[0.0, 300.0], [300.0, 0.0]], dtype=torch.float64)[:, :, None, None]
    x = Stream({"weak": z}, torch.arange(2), torch.tensor([0, 1]))
    u = Stream({"weak": z, "medium": z.flip(0), "strong": z}, torch.arange(2))
    losses: Losses = made({"labeled": x, "unlabeled": u}, STEP)
    losses.total.backward()
    assert all(term.isfinite() for term in losses.terms.values())
    assert all(gradient(p).isfinite().all() for p in made.parameters())


def test_no_term_of_the_pool_counts_while_burning_in() -> None:
    made = made_of("sequencematch", 5, {"algo.tau": 0.0, "algo.burn_in": 0.5})
    terms = made(drawn("sequencematch", 3, 6, 5), STEP).terms
    assert all(terms[key] == 0 for key in ("unlabeled", *PAIRS))


def test_in_one_forward_it_is_the_same_without_batch_statistics() -> None:
    """`joint` changes what BatchNorm sees, and nothing else."""
    given = drawn("sequencematch", 3, 6, 5)
    apart, together = (made_of("sequencematch", 5, {"algo.joint": j, "algo.tau": 0.3}) for j in (False, True))
    for key, term in apart(given, STEP).terms.items():
        torch.testing.assert_close(together(given, STEP).terms[key], term, rtol=1e-9, atol=1e-9)


def test_published_settings() -> None:
    made: Any = algorithm("sequencematch", setup())
    assert {key: getattr(made, key) for key in PUBLISHED} == PUBLISHED
    assert made.labeler.tau == 0.95


@pytest.mark.parametrize(("key", "value"), [("tau", 1.1), ("tau", -0.1), ("temperature", 0.0)])
def test_options_out_of_range_are_refused(key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"algo\.{key}"):
        made_of("sequencematch", 5, {f"algo.{key}": value})
