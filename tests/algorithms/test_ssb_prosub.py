"""SSB and ProSub: against loops in float64, examples worked by hand, and what must not change anything."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from sslkit.algorithms.prosub import moments
from sslkit.algorithms.ssb import as_it_is, others
from sslkit.contracts import Batch, Stream
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.make import STEP, algorithm, setup
from tests.algorithms.open_set import Always, detected, heat, odds
from tests.algorithms.tiny import CASES, DIM, Given, Terms, compare, drawn, labelled, log, made_of, mean, shown, softmax


def layers(net: Any, f: Tensor) -> Tensor:
    """Features (D,) through linear layers with a ReLU between each two."""
    for layer in net:
        f = f.clamp_min(0) if isinstance(layer, nn.ReLU) else layer.weight @ f + layer.bias
    return f


def ssb(made: Any, given: Batch, step: Step) -> Terms:
    """The loops."""
    net, x, u = made.student, given["labeled"], given["unlabeled"]
    *hidden, head = net.added["ova"]
    n = made.classes
    assert x.label is not None

    def p(images: Tensor, i: int) -> Tensor:
        return softmax(net.head.weight @ layers(net.added["own"], net(images).features[i]) + net.head.bias)

    def o(images: Tensor, i: int) -> list[Tensor]:
        return detected(head, layers(hidden, net(images).features[i]))

    near, far = [], {"weak": list[Tensor](), "weak2": list[Tensor](), "strong": list[Tensor]()}
    for view, rows in far.items():
        for i, y in enumerate(x.label.tolist()):
            found = o(x[view], i)
            rows.append(torch.stack([-(1 - found[c]).log() for c in range(n) if c != y]).sum() / n)
            near += [-found[y].log()] if view != "strong" else []
    hot, apart, lost, none = [], [], [], []
    for i in range(len(u.index)):
        o1, o2, o3 = (o(u[view], i) for view in ("weak", "weak2", "strong"))
        hot += [heat(o1), heat(o2)]
        apart.append(torch.stack([(a - b) ** 2 + ((1 - a) - (1 - b)) ** 2 for a, b in zip(o1, o2, strict=True)]).sum())
        none.append(sum((-(1 - b).log() for a, b in zip(o1, o3, strict=True) if a.item() <= made.low), torch.zeros(())))
        weak = p(u["weak"], i).tolist()
        y = weak.index(max(weak))
        lost.append(float(max(weak) >= made.tau) * log(p(u["strong"], i), y))
    on = float(step.index >= made.wait * step.total)
    both = (mean(far["weak"]) + mean(far["weak2"])) / 2
    return {
        "supervised": mean([log(p(x["weak"], i), y) for i, y in enumerate(x.label.tolist())]),
        "unlabeled": made.lambda_u * mean(lost),
        "ova": on * (mean(near) + both / 2 + mean(far["strong"]) / 2),
        "negative": on * mean(none),
        "entropy": on * made.lambda_em * mean(hot),
        "agreement": on * made.lambda_socr * mean(apart),
    }


@pytest.mark.parametrize("index", [9, 10])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_ssb_is_the_loop(
    labeled: int, unlabeled: int, classes: int, tau: float, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslkit.algorithms.ssb.HIDDEN", 16)
    request = {"algo.wait": 0.5, "algo.tau": tau, "algo.lambda_u": 0.7, "algo.lambda_em": 0.3, "algo.lambda_socr": 0.9}
    made = made_of("ssb", classes, request | {"algo.low": 0.4})
    with torch.no_grad():
        for p in made.student.added.parameters():  # neither as it begins, nor all alike
            p.add_(0.4 * torch.randn_like(p))
    losses = compare(made, ssb, drawn("ssb", labeled, unlabeled, classes), Step(index, 20, 3))
    assert (losses.terms["negative"].item() > 0) == (index == 10)


def prosub(made: Any, given: Batch, step: Step) -> Terms:
    """The loops, with scipy's densities and a projection by numpy; means and laws are those in the method."""
    net, u = made.student, given["unlabeled"]
    span = np.linalg.svd(made.basis.numpy(), full_matrices=False)
    q = torch.from_numpy(span.Vh[span.S > 1e-9])
    g = net.added["projector"][0]
    weak, strong = net(u["weak"]), net(u["strong"])
    (a, b), (c, d) = made.laws.tolist()
    draw = step.uniform("prosub.known", len(u.index), device=torch.device("cpu")).tolist()
    similar, lost, along = [], [], []
    for i in range(len(u.index)):
        f = weak.features[i]
        plane = sum(((f @ row) * row for row in q), torch.zeros(DIM)).detach()
        s = (f @ plane) / (f.norm() * plane.norm())
        one = stats.beta.pdf(s.item(), a, b) * made.pi
        other = stats.beta.pdf(s.item(), c, d) * (1 - made.pi)
        k = float(draw[i] <= one / (one + other + 0.1))
        guess = g.weight @ strong.features[i] + g.bias
        fixed = f.detach()
        similar.append(1 - (guess @ fixed) / (guess.norm() * fixed.norm()))
        p = softmax(weak.logits[i]).tolist()
        lost.append(k * float(max(p) >= made.tau) * log(softmax(strong.logits[i]), p.index(max(p))))
        along.append(s if not k else -s)
    on = float(step.index >= made.wait * step.total)
    terms = {"supervised": labelled(made, given), "similarity": made.lambda_s * mean(similar)}
    return terms | {
        "unlabeled": on * made.lambda_u * mean(lost),
        "subspace": on * made.lambda_sub * mean(along),
    }


@pytest.mark.parametrize(("index", "seen"), [(9, 3), (10, 1), (10, 3)])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), [(3, 6, 5), (1, 1, 2), (2, 9, 2), (4, 7, 3)])
def test_prosub_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, index: int, seen: int) -> None:
    weights = {"algo.lambda_u": 0.7, "algo.lambda_s": 0.3, "algo.lambda_sub": 0.9, "algo.pi": 0.4}
    made = made_of("prosub", classes, {"algo.wait": 0.5, "algo.tau": tau} | weights)
    for k in range(seen):
        one = drawn("prosub", classes, unlabeled, classes, seed=k + 1)
        made.after_step([made(one, STEP)], Step(k, 20, 0))
    with torch.no_grad():
        made.laws.copy_(torch.tensor([[3.0, 2.0], [2.0, 3.0]]))  # which leave it open
    compare(made, prosub, drawn("prosub", labeled, unlabeled, classes), Step(index, 20, 3))


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), [(1, 1, 100), (4, 7, 100)])
def test_prosub_with_more_classes_than_features_is_finite(labeled: int, unlabeled: int, classes: int) -> None:
    made, given = made_of("prosub", classes, {"algo.wait": 0.0}), drawn("prosub", labeled, unlabeled, classes)
    for k in range(5):
        losses = made(given, STEP)
        losses.total.backward()
        made.after_step([losses], Step(k, 20, 0))
    assert losses.total.isfinite()
    assert made.laws.isfinite().all()
    assert made.laws.min() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.student.parameters())


def test_prosubs_memory_is_the_loop() -> None:
    """Means and laws after a step of two micro-batches, with the momentum of the average."""
    made = made_of("prosub", 3, decay=0.75)
    batches = [drawn("prosub", 4, 5, 3, seed=k) for k in range(2)]
    with torch.no_grad():
        made.basis.copy_(torch.randn(3, DIM))
        made.laws.copy_(torch.tensor([[4.0, 2.0], [1.5, 2.0]]))
    label = [torch.tensor([0, 0, 2, 2]), torch.tensor([2, 0, 0, 0])]  # none of class 1
    batches = [{**b, "labeled": replace(b["labeled"], label=y)} for b, y in zip(batches, label, strict=True)]
    basis, laws = made.basis.numpy().copy(), made.laws.numpy().copy()
    q = np.linalg.qr(basis.T).Q

    def s_of(images: Tensor) -> list[float]:
        with torch.no_grad():
            rows = made.student(images).features.numpy()
        return [float(np.linalg.norm(q @ (q.T @ f)) / np.linalg.norm(f)) for f in rows]

    s_x = [s for b in batches for s in s_of(b["labeled"]["weak"])]
    s_u = [s for b in batches for s in s_of(b["unlabeled"]["weak"])]
    one, other = (made_pi * stats.beta.pdf(s_u, *law) for made_pi, law in zip((0.5, 0.5), laws, strict=True))
    p = one / (one + other)
    wanted = []
    for values, weights in ((s_x + s_u, [1.0] * len(s_x) + p.tolist()), (s_u, (1 - p).tolist())):
        m = np.average(values, weights=weights)
        v = np.average((np.array(values) - m) ** 2, weights=weights)
        wanted.append([m * (m * (1 - m) / v - 1), (1 - m) * (m * (1 - m) / v - 1)])
    with torch.no_grad():
        f = np.concatenate([made.student(b["labeled"]["weak"]).features.numpy() for b in batches])
    y = torch.cat(label).numpy()
    means = [f[y == c].mean(0) if (y == c).any() else basis[c] for c in range(3)]
    made.after_step([made(b, STEP) for b in batches], STEP)
    np.testing.assert_allclose(made.laws.numpy(), 0.75 * laws + 0.25 * np.array(wanted), rtol=1e-9)
    np.testing.assert_allclose(made.basis.numpy(), 0.75 * basis + 0.25 * np.array(means), rtol=1e-9)


# examples worked by hand


def test_the_other_classes_by_hand() -> None:
    """Of class 0: (-ln 1/2 - ln 3/4) / 3; of class 2: (-ln 1/2 - ln 1/4) / 3."""
    d = odds((0.9, 0.5, 0.25), (0.5, 0.75, 0.1))
    found = others(d, torch.eye(3, dtype=torch.float64)[[0, 2]])
    assert found.item() == pytest.approx((math.log(2) + math.log(4 / 3) + math.log(2) + math.log(4)) / 6)


def test_ssb_by_hand() -> None:
    """All o are 1/2. Of three images with 0.96, 0.9 and 0.99 the second is not kept: -ln 1/4 and -ln 1/2, in thirds.

    Own class and others give ln 2 and ln 2 / 2. Up to low = 1/2 each image is taken for none of both: 2 ln 2.
    """
    for low, taken in ((0.5, 2 * math.log(2)), (0.49, 0.0)):
        made: Any = algorithm("ssb", setup(Given(2), classes=2), {"algo.wait": 0.0, "algo.low": low}).double()
        made.student.added["ova"] = Always(0.0)
        made.classify = lambda net, features: features
        weak, strong = shown((0.96, 0.04), (0.9, 0.1), (0.01, 0.99)), shown((0.25, 0.75), (0.1, 0.9), (0.5, 0.5))
        u = Stream({"weak": weak, "weak2": weak, "strong": strong}, torch.arange(3))
        x = Stream({"weak": weak[:1], "weak2": weak[:1], "strong": weak[:1]}, torch.arange(1), torch.tensor([0]))
        losses = made({"labeled": x, "unlabeled": u}, STEP)
        assert losses.labels.weight.tolist() == [1, 0, 1]
        assert losses.terms["unlabeled"].item() == pytest.approx(math.log(8) / 3)
        assert losses.terms["ova"].item() == pytest.approx(1.5 * math.log(2))
        assert losses.terms["negative"].item() == pytest.approx(taken)
        assert losses.terms["agreement"].item() == 0, "both weak views are the same"
        assert losses.terms["supervised"].item() == pytest.approx(-math.log(0.96))


def test_ssbs_classifier_begins_as_the_networks_own_head() -> None:
    layers_ = as_it_is(7).double()
    f = torch.randn(5, 7, dtype=torch.float64)
    torch.testing.assert_close(layers_(f), f)
    made = made_of("ssb", 5)
    x = drawn("ssb", 2, 4, 5)["unlabeled"]["weak"]
    torch.testing.assert_close(made.predict(made.student, x), made.student(x).logits)


def test_prosub_by_hand() -> None:
    """The means span the first axis: s of (1, 0), (3, 4) and (0, 1) is 1, 3/5 and 0, in a plane of two features."""
    made: Any = algorithm("prosub", setup(Given(2), classes=2)).double()
    made.basis.copy_(torch.tensor([[2.0, 0], [0, 0]]))
    made.basis = made.basis[:1]
    s = made.along(torch.tensor([[1.0, 0], [3, 4], [0, 1]], dtype=torch.float64))
    assert s.tolist() == pytest.approx([1 - 1e-6, 0.6, 1e-6])
    made.laws.copy_(torch.tensor([[2.0, 1.0], [1.0, 1.0]]))  # densities 2 s and 1
    assert made.densities(s).exp()[:, 1].tolist() == pytest.approx([1.2, 1.0])


def test_moments_invert() -> None:
    """Mean 3/5 and variance 1/25 are those of Beta(3, 2). Without any weight it is the even law."""
    values = torch.tensor([0.4, 0.8, 0.1], dtype=torch.float64)
    found = moments(values, torch.tensor([2.0, 2.0, 0.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([3, 2])
    assert stats.beta.var(3, 2) == pytest.approx(0.04)
    assert moments(values, torch.zeros(3, dtype=torch.float64)).tolist() == [1, 1]
    assert moments(values[:1], torch.ones(1, dtype=torch.float64)).isfinite().all()


# what must hold for both


@pytest.mark.parametrize("name", ["ssb", "prosub"])
def test_with_nothing_kept_the_rest_is_finite(name: str) -> None:
    made = made_of(name, 5, {"algo.tau": 1.0, "algo.wait": 0.0})
    losses = made(drawn(name, 3, 6, 5), STEP)
    losses.total.backward()
    assert losses.terms["unlabeled"].item() == 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.student.parameters())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("ssb", {f"algo.{k}": -1.0}) for k in ("lambda_u", "lambda_em", "lambda_socr", "tau", "low", "wait")),
        *(("prosub", {f"algo.{k}": -1.0}) for k in ("lambda_u", "lambda_s", "lambda_sub", "tau", "wait", "pi")),
        *(("prosub", {"algo.pi": value}) for value in (0.0, 1.0)),
    ],
)
def test_options_are_checked(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        algorithm(name, setup(), wrong)
