"""OpenMatch and IOMatch: against loops in float64, examples worked by hand, and what must not change anything."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sslkit.algorithms._one_vs_all import entropy as unsure
from sslkit.algorithms._one_vs_all import one_vs_all
from sslkit.algorithms.iomatch import opened_up
from sslkit.contracts import Batch
from sslkit.errors import UserError
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.training.engine import Engine
from tests.algorithms.make import STEP, Trainer, algorithm, batch, job, network, setup
from tests.algorithms.open_set import Always, Even, detected, given_by, heat, odds, ova
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
    shown,
    softmax,
)


def openmatch(made: Any, given: Batch, step: Step) -> Terms:
    """The loops."""
    net, x, u = made.student, given["labeled"], given["unlabeled"]
    head = net.added["ova"]
    assert x.label is not None
    own = [ova(detected(head, net(x[v]).features[i]), y) for v in ("weak", "weak2") for i, y in enumerate(x.label)]
    sums, apart, lost = [], [], []
    for i, place in enumerate(u.index.tolist()):
        o, o2 = (detected(head, net(u[view]).features[i]) for view in ("weak", "weak2"))
        sums += [heat(o), heat(o2)]
        pairs = zip(o, o2, strict=True)
        apart.append(torch.stack([(a - b) ** 2 + ((1 - a) - (1 - b)) ** 2 for a, b in pairs]).sum())
        p = softmax(net(u["weak"]).logits[i]).tolist()
        y = p.index(max(p))
        counts = made.known[place].item() and max(p) >= made.tau and step.index >= made.wait * step.total
        lost.append(float(bool(counts)) * log(softmax(net(u["strong"]).logits[i]), y))
    terms = {"supervised": labelled(made, given), "ova": mean(own), "entropy": made.lambda_em * mean(sums)}
    return terms | {"agreement": made.lambda_socr * mean(apart), "unlabeled": made.lambda_u * mean(lost)}


@pytest.mark.parametrize("index", [0, 9, 10])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_openmatch_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, index: int) -> None:
    request = {"algo.wait": 0.5, "algo.tau": tau, "algo.lambda_u": 0.7, "algo.lambda_em": 0.3, "algo.lambda_socr": 0.9}
    made = made_of("openmatch", classes, request)
    made.known[1::2] = 0
    given = drawn("openmatch", labeled, unlabeled, classes)
    shifted = replace(given["unlabeled"], index=given["unlabeled"].index + 5)  # not the place in the batch
    compare(made, openmatch, {**given, "unlabeled": shifted}, Step(index, 20, 3))


def iomatch(made: Any, given: Batch, step: Step) -> Terms:
    """The loops; the history of predictions is the one that stands in the method."""
    net, x, u = made.student, given["labeled"], given["unlabeled"]
    first, _, second = net.added["projector"]
    last = net.added["open"]
    total = made.align.history.sum(0)
    lost, opened = [], []

    def projected(f: Tensor) -> Tensor:
        return second.weight @ (first.weight @ f + first.bias).clamp_min(0) + second.bias

    def seen(images: Tensor, i: int) -> tuple[Tensor, Tensor]:
        out = net(images)
        return softmax(out.logits[i]), projected(out.features[i])

    assert x.label is not None
    own = [ova(detected(net.added["ova"], seen(x["weak"], i)[1]), y) for i, y in enumerate(x.label)]
    for i in range(len(u.index)):
        p, f = seen(u["weak"], i)
        a = p / (total / total.sum().clamp_min(1e-6) + 1e-6)
        a = (a / a.sum()).detach()
        o = [x.item() for x in detected(net.added["ova"], f)]
        q = [a[c].item() * o[c] for c in range(len(o))]
        score = sum(a[c].item() * (1 - o[c]) for c in range(len(o)))
        q.append(score)
        assert sum(q) == pytest.approx(1)
        strong, f = seen(u["strong"], i)
        lost.append(float(score < 0.5 and a.max().item() >= made.tau) * entropy(a, strong))
        r = softmax(last.weight @ f + last.bias)
        counts = max(q) >= made.tau_open and step.index >= made.wait * step.total
        opened.append(float(counts) * entropy(torch.tensor(q, dtype=torch.float64), r))
    terms = {"supervised": labelled(made, given), "ova": mean(own), "unlabeled": made.lambda_u * mean(lost)}
    return terms | {"open": made.lambda_open * mean(opened)}


@pytest.mark.parametrize(("index", "seen"), [(9, 1), (10, 0), (10, 1)])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_iomatch_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, index: int, seen: int) -> None:
    request = {"algo.wait": 0.5, "algo.tau": tau, "algo.tau_open": 0.3, "algo.lambda_u": 0.7, "algo.lambda_open": 0.4}
    made = made_of("iomatch", classes, request)
    with torch.no_grad():
        made.student.added["ova"].pairs.weight.mul_(4)  # some are outliers, some are not
    for k in range(seen):
        one = drawn("iomatch", labeled, unlabeled, classes, seed=k + 1)
        made.after_step([made(one, STEP)], Step(k, 20, 0))
    compare(made, iomatch, drawn("iomatch", labeled, unlabeled, classes), Step(index, 20, 3))


# examples worked by hand


def test_one_vs_all_by_hand() -> None:
    """Three images of class 0: -ln 1/2 - ln(1 - 3/4), where 3/4 is the largest of another class; -ln 1/4 - ln 1/2; 0.

    The own class's o of the first and third image is not counted against it.
    """
    d = odds((0.5, 0.75, 0.25), (0.25, 0.5, 0.5), (1 - 1e-12, 1e-12, 1e-12))
    target = torch.eye(3, dtype=torch.float64)[[0, 0, 0]]
    assert one_vs_all(d, target).item() == pytest.approx((math.log(2) + math.log(4) + math.log(4) + math.log(2)) / 3)
    assert one_vs_all(d[2:], target[2:]).item() == pytest.approx(0, abs=1e-11)
    half = torch.tensor([[0.5, 0.5, 0]], dtype=torch.float64)  # of class 1 it is -ln 3/4 - ln 1/2
    of_one = -math.log(0.75) - math.log(0.5)
    assert one_vs_all(d[:1], half).item() == pytest.approx((math.log(8) + of_one) / 2)


def test_entropy_by_hand() -> None:
    """Halves have ln 2 each; certain answers none; 1/4 has ln 4 / 4 + 3/4 ln 4/3."""
    quarter = math.log(4) / 4 + 0.75 * math.log(4 / 3)
    assert unsure(odds((0.5, 0.5))).item() == pytest.approx(math.log(2))
    assert unsure(odds((0.5, 0.25), (0.75, 0.5))).item() == pytest.approx((math.log(2) + quarter) / 2)


@pytest.mark.parametrize("size", [40.0, 1000.0])
def test_certain_detectors_are_finite(size: float) -> None:
    d = torch.tensor([[-size, size, 0], [size, -size, size]], requires_grad=True)
    (one_vs_all(d, torch.eye(3)[[0, 1]]) + unsure(d)).backward()
    assert d.grad is not None
    assert d.grad.isfinite().all()


def test_open_targets_by_hand() -> None:
    """a = (1/2, 1/4, 1/4), o = (1/2, 1, 0): q = (1/4, 1/4, 0, 1/4 + 1/4). Where all o are 1, q = (a, 0)."""
    a = torch.tensor([[0.5, 0.25, 0.25]] * 3, dtype=torch.float64)
    d = odds((0.5, 1, 0), (1, 1, 1), (0, 0, 0)).clamp(-1e3, 1e3)
    expected = [[0.25, 0.25, 0, 0.5], [0.5, 0.25, 0.25, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(opened_up(a, d), torch.tensor(expected, dtype=torch.float64))


def test_openmatch_by_hand() -> None:
    """Kept are images 0 and 2 of three: -ln 1/4 and -ln 1/2 of the strong view, divided by three."""
    made: Any = algorithm("openmatch", setup(Given(2), classes=2), {"algo.wait": 0.0})
    made.student.added["ova"] = Always(0.0)
    made.known[1] = 0
    strong = shown((0.25, 0.75), (0.01, 0.99), (0.5, 0.5))
    losses = made(given_by(shown((0.6, 0.4), (0.9, 0.1), (0.3, 0.7)), strong), STEP)
    assert losses.labels.weight.tolist() == [1, 0, 1]
    assert losses.terms["unlabeled"].item() == pytest.approx(math.log(8) / 3)
    assert losses.terms["agreement"].item() == 0, "both weak views are the same"
    assert losses.terms["entropy"].item() == pytest.approx(0.1 * math.log(2))
    assert losses.terms["ova"].item() == pytest.approx(math.log(4))


def test_iomatch_by_hand() -> None:
    """All o_c are 3/4: s is 1/4, and no image is an outlier. All are 1/4: every image is.

    q is 3/4 of a: 0.6, 0.45 and 0.675 at most, of which two reach 1/2; of outliers it is 3/4 in the last place. The
    other head answers 1/3 to everything, which is ln 3 each.
    """
    for sign, kept in ((1, [1, 0, 1]), (-1, [0, 0, 0])):
        made: Any = algorithm("iomatch", setup(Given(2), classes=2), {"algo.tau": 0.7})
        made.student.added["ova"] = Always(sign * math.log(3))
        made.student.added["projector"] = nn.Identity()
        weak, strong = shown((0.8, 0.2), (0.6, 0.4), (0.1, 0.9)), shown((0.25, 0.75), (0.5, 0.5), (0.25, 0.75))
        made.student.added["open"] = Even()
        losses = made(given_by(weak, strong), STEP)
        assert losses.labels.weight.tolist() == kept
        expected = 0.8 * math.log(4) + 0.2 * math.log(4 / 3) + 0.1 * math.log(4) + 0.9 * math.log(4 / 3)
        assert losses.terms["unlabeled"].item() == pytest.approx(expected / 3 if sign > 0 else 0)
        assert losses.terms["open"].item() == pytest.approx(math.log(3) * (2 / 3 if sign > 0 else 1))


# OpenMatch's selection


class Choosing(Trainer):
    """An engine whose pool is of classes 0, 1, 0, 1, 0; the odd ones are not what a detector knows."""

    asked: list[int]
    step: int

    def encode(self, network: Classifier, stream: str) -> Output:
        made: Any = self.made
        assert network is made.average.network
        assert stream == "unlabeled"
        self.asked.append(self.step)
        z = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1], [1, 0]])
        return Output(z, torch.tensor([[1.0, -2], [1, -2], [-1, 2], [-1, 2], [0, 0]]))


@pytest.mark.parametrize(("wait", "expected"), [(0.0, [0, 4, 8]), (0.25, [5, 9]), (0.3, [6, 10]), (1.0, [])])
def test_the_pool_is_selected_once_in_every_pass(wait: float, expected: list[int]) -> None:
    """Of 40 images 12 a step, in two micro-batches: a pass is 4 steps, from the first one on that is not waited for."""
    made: Any = algorithm("openmatch", setup(), {"algo.wait": wait})
    asked: list[int] = []
    made.select = lambda trainer: asked.append(trainer.step)
    trainer = Choosing(made)
    for index in range(12):
        trainer.step = index
        given = [batch(type(made)) for _ in range(2)]
        made.train_step(trainer, given, [Step(index, 20, 0), Step(index, 20, 0, 1)])
    assert asked == expected


def test_selected_is_what_the_likeliest_classs_detector_of_the_average_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """o of the own class above a half: image 0 by the first detector, image 3 by the second; a half itself is not."""
    monkeypatch.setattr("sslkit.algorithms.openmatch.BLOCK", 2)
    made: Any = algorithm("openmatch", setup(classes=2, unlabeled=5), {"algo.wait": 0.0})
    made.average.network.added["ova"] = nn.Identity()
    trainer = Choosing(made)
    trainer.asked, trainer.step = [], 0
    made.select(trainer)
    assert trainer.asked == [0]
    assert made.known.tolist() == [1, 0, 0, 1, 0]


def test_openmatchs_average_is_the_one_that_is_reported_and_the_selection_is_stored(tmp_path: Any) -> None:
    made = job({"algo": "openmatch", "semi.steps": 3})
    method: Any = made.algorithm
    assert made.average is method.average
    start = {name: value.clone() for name, value in made.average.network.state_dict().items()}
    Engine(made, tmp_path).train()
    for name, value in made.average.network.named_parameters():
        assert not value.equal(start[name]), name
    assert "known" in method.state_dict()
    assert 0 < method.known.mean() < 1


# what must hold for both


@pytest.mark.parametrize(("name", "nothing"), [("openmatch", "unlabeled"), ("iomatch", "open")])
def test_with_nothing_kept_the_rest_is_finite(name: str, nothing: str) -> None:
    made = made_of(name, 5, {"algo.tau": 1.0, "algo.tau_open": 1.0, "algo.wait": 0.0})
    losses = made(drawn(name, 3, 6, 5), STEP)
    losses.total.backward()
    assert losses.terms["unlabeled"].item() == losses.terms[nothing].item() == 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.student.parameters())


@pytest.mark.parametrize("name", ["openmatch", "iomatch"])
def test_the_network_classifies_by_its_own_head(name: str) -> None:
    net: Any = network()
    made = algorithm(name, setup(net))
    x = torch.randn(4, 3, 8, 8)
    assert made.predict(net, x).equal(net(x).logits)


@pytest.mark.parametrize("name", ["openmatch", "iomatch"])
def test_rows_may_stand_for_labels(name: str) -> None:
    made, given = made_of(name, 5), drawn(name, 4, 3, 5)
    x = given["labeled"]
    assert x.label is not None
    rows = replace(x, target=torch.eye(5, dtype=torch.float64)[x.label])
    found, expected = made({**given, "labeled": rows}, STEP).terms, made(given, STEP).terms
    assert {name: term.item() for name, term in found.items()} == pytest.approx(
        {name: term.item() for name, term in expected.items()}
    )


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("openmatch", {f"algo.{key}": -1.0}) for key in ("lambda_u", "lambda_em", "lambda_socr", "tau", "wait")),
        *(("iomatch", {f"algo.{key}": -1.0}) for key in ("lambda_u", "lambda_open", "tau", "tau_open", "wait")),
        ("iomatch", {"algo.queue": 0}),
    ],
)
def test_options_are_checked(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        algorithm(name, setup(), wrong)
