"""ACR and SimPro: against loops in float64, examples worked by hand, and their estimates of the pool's classes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.algorithms.acr import divergence
from sslkit.contracts import Batch
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.long_tail import CASES, adjusted, best, counts_of, drawn, logs, shares_of, tailed
from tests.algorithms.make import STEP, algorithm, network, setup
from tests.algorithms.tiny import Terms, compare, entropy, labelled, log, mean, softmax


def acr(made: Any, given: Batch, step: Step) -> Terms:
    """The loops."""
    net, x, u = made.student, given["labeled"], given["unlabeled"]
    prior, head, tau = logs(shares_of(counts_of(len(made.found)))), net.added["balanced"], made.tau
    less = [-made.correction.item() * p for p in prior]
    full = [made.strength * p for p in prior]
    weak, strong = net(u["weak"]), [net(u[view]) for view in ("strong", "strong2")]
    first, second = [], []
    for i in range(len(u.index)):
        raw, (y, o) = best(softmax(weak.logits[i]))[1], best(softmax(adjusted(weak.logits[i], less)))
        first += [float(max(o, raw) >= tau) * log(softmax(out.logits[i]), y) for out in strong]
        own, (y, o) = (
            best(softmax(head(weak.features[i])))[1],
            best(softmax(adjusted(weak.logits[i], [-p for p in full]))),
        )
        second += [float(max(o, own) >= tau) * log(softmax(head(out.features[i])), y) for out in strong]
    assert x.label is not None
    features = net(x["weak"]).features
    balanced = [log(softmax(adjusted(head(f), full)), y) for f, y in zip(features, x.label.tolist(), strict=True)]
    return {
        "supervised": labelled(made, given),
        "unlabeled": made.lambda_u * mean(first),
        "balanced": mean(balanced),
        "balanced_unlabeled": made.lambda_u * mean(second),
    }


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_acr_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float) -> None:
    made = tailed("acr", classes, {"algo.tau": tau, "algo.strength": 1.5, "algo.lambda_u": 0.7})
    made.correction.fill_(0.4)
    with torch.no_grad():
        made.student.added["balanced"].weight.mul_(1.3)
    compare(made, acr, drawn("acr", labeled, unlabeled, classes), near=1e-6)  # shares of labels are float32


def test_acr_by_hand() -> None:
    """pi (4/7, 2/7, 1/7), s = 1: at z of (0.5, 0.25, 0.25) even is left of the first two, (7/8, 7/8, 7/4): the third.

    Its share is 1/2, and it is kept at tau 0.5: the second head's loss is that of the third class, ln 4.
    """
    made = tailed("acr", 3, {"algo.tau": 0.5, "algo.strength": 1.0}, counts=[4, 2, 1])
    with torch.no_grad():
        for head in (made.student.head, made.student.added["balanced"]):
            head.weight.zero_()
            head.bias.copy_(torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log())
    losses = made(drawn("acr", 2, 3, 3), STEP)
    assert losses.labels.target.tolist() == [[0, 0, 1]] * 3
    assert losses.labels.confidence.tolist() == pytest.approx([0.5] * 3)
    assert losses.labels.weight.tolist() == [1] * 3
    assert losses.terms["balanced_unlabeled"].item() == pytest.approx(math.log(4))
    assert losses.memory["sure"].tolist() == [3, 0, 0]


def test_acr_of_even_labels_is_fixmatch_twice() -> None:
    given = drawn("acr", 3, 4, 5)
    made = tailed("acr", request={"algo.tau": 0.5}, counts=[2] * 5)
    terms = made(given, STEP).terms
    assert terms["balanced"].item() == pytest.approx(terms["supervised"].item())
    assert terms["balanced_unlabeled"].item() == pytest.approx(terms["unlabeled"].item())
    plain = tailed("fixmatch", request={"labeler.tau": 0.5}, counts=[2] * 5)
    u = given["unlabeled"]
    both = [
        plain({**given, "unlabeled": type(u)({"weak": u["weak"], "strong": u[view]}, u.index)}, STEP).terms["unlabeled"]
        for view in ("strong", "strong2")
    ]
    assert terms["unlabeled"].item() == pytest.approx(mean(both).item())


def test_divergences_by_hand() -> None:
    """Of (3/4, 1/4) from even: (1/4 ln(3/2) - 1/4 ln(1/2)) / 2 = ln(3) / 8; from itself nothing."""
    found = torch.tensor([0.75, 0.25])
    goals = torch.stack([found, torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])])
    assert divergence(found, goals).tolist() == pytest.approx([0, math.log(3) / 8, 0.5 * math.log(3)])


def test_acrs_correction_follows_the_second_heads_sure_predictions() -> None:
    """Steps 2 and 3 are the first period that is measured, 4 and 5 the next; before it the correction is whole."""
    made = tailed("acr", request={"algo.wait": 0.002, "algo.tau": 0.4}, counts=[8, 5, 3, 1, 0], steps=1000)
    goals = [shares_of([8, 5, 3, 1, 0]), [0.2] * 5, [1 / 18, 1 / 18, 3 / 18, 5 / 18, 8 / 18]]
    assert made.goals.tolist() == [pytest.approx(goal) for goal in goals]
    found, apart = [0.2] * 5, [0.0] * 3
    for index in range(6):
        step = Step(index, 1000, 0)
        given = [drawn("acr", 2, 6, 5, seed=2 * index + k) for k in range(2)]
        counts = [0] * 5
        for one in given:
            out = made.student(one["unlabeled"]["weak"])
            for f in out.features:
                y, o = best(softmax(made.student.added["balanced"](f)))
                counts[y] += o >= 0.4
        made.after_step([made(one, step) for one in given], step)
        if index < 2:
            assert made.correction.item() == 2
            continue
        assert sum(counts) > 1
        found = [0.9 * p + 0.1 * n / sum(counts) for p, n in zip(found, counts, strict=True)]
        for g, goal in enumerate(goals):
            both = zip(found, goal, strict=True)
            apart[g] += sum((p * math.log(p / q) + q * math.log(q / p)) / 2 for p, q in both)
        if index % 2:
            powers = [math.exp(a / 2) for a in apart]
            assert made.correction.item() == pytest.approx(2 * powers[0] / sum(powers), rel=1e-5)
            apart = [0.0] * 3
    assert made.found.tolist() == pytest.approx(found, rel=1e-5)


def test_acr_learns_nothing_of_a_step_without_a_sure_prediction() -> None:
    made = tailed("acr", request={"algo.tau": 1.0, "algo.wait": 0.0})
    made.train()
    made.after_step([made(drawn("acr", 2, 4, 5), STEP)], STEP)
    assert made.found.tolist() == pytest.approx([0.2] * 5)
    assert made.correction.isfinite()


def test_acr_classifies_by_its_second_head() -> None:
    net: Any = network()
    made = algorithm("acr", setup(net))
    with torch.no_grad():
        net.added["balanced"].bias[2] += 9
    x = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(made.predict(net, x) - net(x).logits, torch.tensor([[0.0, 0, 9, 0, 0]] * 4))


# SimPro


def simpro(made: Any, given: Batch, step: Step) -> Terms:
    """The loops."""
    net, x, u = made.student, given["labeled"], given["unlabeled"]
    s, pool, seen = made.strength, logs(made.pool.tolist()), logs(made.seen.tolist())
    assert x.label is not None

    def shifted(z: Tensor, shares: list[float]) -> Tensor:
        return softmax(adjusted(z, [s * p for p in shares]))

    supervised = [
        log(shifted(z, seen), y)
        for view in ("weak", "strong")
        for z, y in zip(net(x[view]).logits, x.label.tolist(), strict=True)
    ]
    unlabeled = []
    for i, z in enumerate(net(u["weak"]).logits):
        q = shifted(z, pool).detach()
        kept = float(best(q)[1] >= made.tau)
        unlabeled += [kept * entropy(q, shifted(net(u[view]).logits[i], seen)) for view in ("strong", "strong2")]
    r = (len(u.index) * 10) / (len(x.index) * 40)  # 10 labelled images and 40 others
    return {"supervised": r * mean(supervised), "unlabeled": made.lambda_u * mean(unlabeled)}


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_simpro_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float) -> None:
    made = tailed("simpro", classes, {"algo.tau": tau, "algo.strength": 1.5, "algo.lambda_u": 0.7})
    for seed, shares in enumerate((made.pool, made.seen)):
        shares.copy_(torch.rand(classes, generator=torch.Generator().manual_seed(seed)).softmax(0))
    compare(made, simpro, drawn("simpro", labeled, unlabeled, classes))


def test_simpro_by_hand() -> None:
    """u (1/2, 1/4, 1/4), s = 1: an even prediction becomes u itself, kept at 0.5; against a of the labels, 4 : 2 : 2.

    So the loss is the entropy of (1/2, 1/4, 1/4), 1.5 ln 2. Of 10 labelled images 3 are seen, of 40 others 6: half.
    """
    made = tailed("simpro", 3, {"algo.tau": 0.5, "algo.strength": 1.0}, counts=[4, 2, 2])
    made.pool.copy_(torch.tensor([0.5, 0.25, 0.25]))
    with torch.no_grad():
        made.student.head.weight.zero_()
        made.student.head.bias.zero_()
    losses = made(drawn("simpro", 3, 6, 3), STEP)
    assert losses.labels.target.tolist() == [[pytest.approx(x) for x in (0.5, 0.25, 0.25)]] * 6
    assert losses.terms["unlabeled"].item() == pytest.approx(1.5 * math.log(2))
    assert losses.terms["supervised"].item() == pytest.approx(0.5 * 5 / 3 * math.log(2))
    assert losses.memory["kept"].tolist() == pytest.approx([3, 1.5, 1.5])
    assert losses.memory["given"].tolist() == [1, 1, 1]


def test_simpros_estimates_move_after_every_round() -> None:
    """20 steps in 10 rounds would be two a round; a pass over 40 images is four of 12, and then both estimates go a
    tenth of the way."""
    made = tailed("simpro", request={"algo.tau": 0.5, "algo.rounds": 10}, counts=[8, 5, 3, 1, 0])
    pool, seen = [0.2] * 5, shares_of([8, 5, 3, 1, 0])
    assert made.seen.tolist() == pytest.approx(seen)
    for round_ in range(3):
        kept, given = [0.0] * 5, [0.0] * 5
        for index in range(4 * round_, 4 * round_ + 4):
            losses = []
            for k in range(2):
                one = drawn("simpro", 2, 6, 5, seed=2 * index + k)
                for z in made.student(one["unlabeled"]["weak"]).logits:
                    q = softmax(adjusted(z, [2 * p for p in logs(pool)]))
                    if best(q)[1] >= 0.5:
                        kept = [a + b for a, b in zip(kept, q.tolist(), strict=True)]
                for y in one["labeled"].label.tolist():  # type: ignore[union-attr]
                    given[y] += 1
                losses.append(made(one, Step(index, 20, 0)))
            made.after_step(losses, Step(index, 20, 0))
        both = [a + b for a, b in zip(kept, given, strict=True)]
        pool = [0.9 * p + 0.1 * n / sum(kept) for p, n in zip(pool, kept, strict=True)]
        seen = [0.9 * p + 0.1 * n / sum(both) for p, n in zip(seen, both, strict=True)]
        assert made.pool.tolist() == pytest.approx(pool, rel=1e-5)
        assert made.seen.tolist() == pytest.approx(seen, rel=1e-5)


def test_simpro_keeps_its_estimate_where_nothing_is_kept() -> None:
    made = tailed("simpro", request={"algo.tau": 1.0, "algo.rounds": 20})
    losses = made(drawn("simpro", 2, 4, 5), STEP)
    losses.total.backward()
    made.after_step([losses], STEP)
    assert made.pool.tolist() == pytest.approx([0.2] * 5)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("acr", {"algo.tau": 2.0}),
        ("acr", {"algo.strength": -1.0}),
        ("acr", {"algo.momentum": 1.0}),
        ("simpro", {"algo.lambda_u": -1.0}),
        ("simpro", {"algo.tau": -1.0}),
        ("simpro", {"algo.rounds": 0}),
    ],
)
def test_options_are_checked(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        algorithm(name, setup(), wrong)
