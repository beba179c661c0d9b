"""CoSSL and DASO: against loops in float64, examples worked by hand, and what they are without their own part."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sslkit.contracts import Batch, Stream
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.long_tail import CASES, best, counts_of, drawn, of, shares_of, tailed, weighed
from tests.algorithms.make import STEP, algorithm, job, network, setup
from tests.algorithms.tiny import SIDE, Terms, Tiny, compare, entropy, labelled, log, mean, softmax

CPU = torch.device("cpu")


def cossl(made: Any, given: Batch, step: Step) -> Terms:
    """The loops."""
    net, teacher, u, x = made.student, made.teacher.teacher.average.network, given["unlabeled"], given["balanced"]
    head, counts = net.added["balanced"], counts_of(len(made.blends))
    weak = teacher(u["weak"])
    coupled = step.index >= made.teacher.wait * step.total
    unlabeled, balanced = [], []
    for i in range(len(u.index)):
        z = head(weak.features[i]) if coupled else weak.logits[i]
        y, o = best(softmax(z))
        unlabeled.append(float(o >= made.labeler.tau) * log(softmax(net(u["strong"]).logits[i]), y))
    draws = [step.uniform(name, len(x.index), device=CPU).tolist() for name in ("cossl.blend", "cossl.ratio")]
    assert x.label is not None
    for i, y in enumerate(x.label.tolist()):
        f = teacher(x["weak"]).features[i].detach()
        if draws[0][i] < (max(counts) - counts[y]) / max(counts):
            ratio = made.least + (1 - made.least) * draws[1][i]
            f = ratio * f + (1 - ratio) * weak.features[i % len(u.index)].detach()
        balanced.append(log(softmax(head(f)), y))
    family = {"supervised": labelled(made, given), "unlabeled": made.lambda_u * mean(unlabeled)}
    return family | {"balanced": mean(balanced)}


@pytest.mark.parametrize("index", [0, 9, 10])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), [*CASES, (5, 2, 5)])
def test_cossl_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, index: int) -> None:
    request = {"algo.wait": 0.5, "algo.least": 0.3, "labeler.tau": tau, "algo.lambda_u": 0.7}
    made = tailed("cossl", classes, request, averaged=Tiny(classes, seed=1))
    with torch.no_grad():
        made.student.added["balanced"].weight.mul_(-1.3)  # it labels otherwise than the network's own
    compare(made, cossl, drawn("cossl", labeled, unlabeled, classes), Step(index, 20, 3), near=1e-6)


def extra(made: Any, own: Any, other: Any, label: list[int], step: Step = STEP) -> float:
    """The balanced term, of given features; the second head leaves these as they are."""
    made.student.added["balanced"] = nn.Identity()
    made.teacher.predict = lambda student, images, step: own
    x = Stream({"weak": torch.zeros(len(label), 3, SIDE, SIDE)}, torch.arange(len(label)), torch.tensor(label))
    found = made.extra(own, other, other, weighed(1, classes=3), {"balanced": x}, step)
    return float(found["balanced"])


def test_cossl_by_hand() -> None:
    """Labels 8, 8, 0 give no blending of the first two classes and always of the third, here half and half.

    Features are logits: ln 4 of the own class, for the third (0, 0, ln 4) with (ln 4, 0, 0): (ln 2, 0, ln 2).
    """
    made = tailed("cossl", 3, counts=[8, 8, 0])
    assert made.blends.tolist() == [0, 0, 1]
    made.least = 1.0
    four, seeds = math.log(4), 200
    own, other = (of((0.25, 0.25, 0.25)) for _ in range(2))
    own = type(own)(torch.zeros(3, 3), torch.eye(3) * four)
    other = type(other)(torch.zeros(1, 3), torch.tensor([[four, 0.0, 0.0]]))
    assert extra(made, own, other, [0, 1, 2]) == pytest.approx(math.log(6 / 4)), "at 1 blending has no effect"
    made.least = 0.0
    found = sum(extra(made, own, other, [0, 1, 2], Step(0, 9, seed)) for seed in range(seeds)) / seeds
    third = sum(math.log((4 ** (k / 500) + 4 ** (1 - k / 500) + 1) / 4 ** (k / 500)) for k in range(501)) / 501
    assert found == pytest.approx((2 * math.log(6 / 4) + third) / 3, rel=0.05)


def test_cossl_of_even_labels_blends_nothing() -> None:
    made: Any = algorithm("cossl", setup())
    assert made.blends.tolist() == [0] * 5


def test_the_second_head_gives_no_gradient_to_the_features() -> None:
    made = tailed("cossl", averaged=Tiny(5, seed=1))
    made(drawn("cossl", 3, 4, 5), STEP).terms["balanced"].backward()
    assert made.student.added["balanced"].weight.grad.any()
    assert all(p.grad is None for p in made.student.body.parameters())


def test_cossl_draws_every_class_equally_often() -> None:
    made = job({"algo": "cossl", "semi.batch": 20, "semi.mu": 1})
    label = torch.cat([made.loader.batch(k, 0)["balanced"].label for k in range(3)])  # type: ignore[misc]
    assert torch.bincount(label).tolist() == [6] * 10
    assert made.average is made.algorithm.teacher.teacher.average  # type: ignore[union-attr]


def test_cossl_classifies_by_its_second_head() -> None:
    net: Any = network()
    made = algorithm("cossl", setup(net))
    with torch.no_grad():
        net.added["balanced"].bias[2] += 9
    x = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(made.predict(net, x) - net(x).logits, torch.tensor([[0.0, 0, 9, 0, 0]] * 4))


# DASO


def prototypes(made: Any) -> list[Tensor | None]:
    """Mean of what the queue has of each class."""
    size, filled = made.teacher.size, made.teacher.filled.tolist()
    queue = made.teacher.queue.double()
    return [
        torch.stack([queue[c * size + i] for i in range(min(size, n))]).mean(0) if n else None
        for c, n in enumerate(filled)
    ]


def similar(made: Any, f: Tensor) -> Tensor:
    found = []
    for c in prototypes(made):
        cosine = -1e9 if c is None else (f * c).sum() / (f.norm() * c.norm())
        found.append(torch.as_tensor(cosine / made.teacher.temperature, dtype=torch.float64))
    return softmax(torch.stack(found))


def daso(made: Any, given: Batch, step: Step) -> Terms:
    """The loops; h are the shares that stand in the method."""
    net, u, h = made.student, given["unlabeled"], made.teacher.shares.tolist()
    leans = step.index >= max(1, made.teacher.wait * step.total)
    weak, strong = net(u["weak"]), net(u["strong"])
    unlabeled, aligned = [], []
    for i in range(len(u.index)):
        p, s = softmax(weak.logits[i]), similar(made, weak.features[i]).detach()
        v = (h[best(p)[0]] / max(h)) ** (1 / made.teacher.spread)
        y, o = best((1 - v) * p + v * s if leans else p)
        unlabeled.append(float(o >= made.labeler.tau) * log(softmax(strong.logits[i]), y))
        aligned.append(entropy(s, similar(made, strong.features[i]).clamp_min(1e-300)) if leans else torch.zeros(()))
    family = {"supervised": labelled(made, given), "unlabeled": made.lambda_u * mean(unlabeled)}
    return family | {"aligned": made.weight * mean(aligned)}


@pytest.mark.parametrize("index", [0, 9, 10])
@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), [(3, 6, 5), (2, 1, 2), (1, 2, 100)])
def test_daso_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, index: int) -> None:
    request = {"algo.wait": 0.5, "labeler.tau": tau, "algo.lambda_u": 0.7, "algo.weight": 0.3, "algo.queue": 2}
    made = tailed("daso", classes, {**request, "algo.temperature": 0.3})
    for seed in range(3):  # not all classes have a prototype, and one has had more images than it keeps
        one = drawn("daso", labeled, unlabeled, classes, seed=seed)
        made.after_step([made(one, Step(seed, 20, 0))], Step(seed, 20, 0))
    made.teacher.shares.copy_(torch.rand(classes, generator=torch.Generator().manual_seed(1)).softmax(0))
    compare(made, daso, drawn("daso", labeled, unlabeled, classes, seed=9), Step(index, 20, 3), near=1e-6)


def test_prototypes_are_of_the_last_images_of_their_class() -> None:
    """Of a queue of 2: features are numbered; class 0 gets 1 to 5 in two batches, class 2 gets 6."""
    made: Any = algorithm("daso", setup(), {"algo.queue": 2})
    numbered = torch.arange(1.0, 7.0)[:, None].expand(-1, 32)
    guess = torch.zeros(1, dtype=torch.long)
    made.teacher.learn(numbered[[0, 5, 1, 2]], torch.tensor([0, 2, 0, 0]), guess, False)
    rows = made.teacher.queue[:, 0].view(-1)[:-1].view(5, 2)
    assert sorted(rows[0].tolist()) == [2, 3]
    made.teacher.learn(numbered[[3]], torch.tensor([0]), guess, False)
    assert sorted(rows[0].tolist()) == [3, 4]
    made.teacher.learn(numbered[[4]], torch.tensor([0]), guess, False)
    assert sorted(rows[0].tolist()) == [4, 5]
    assert rows[2].tolist() == [6, 0]
    assert made.teacher.filled.tolist() == [5, 0, 1, 0, 0]
    assert not made.teacher.queue[-1].any()


def test_daso_by_hand() -> None:
    """Prototypes along two axes, temperature 1, h (1/2, 1/8), spread 1: v of the second class is 1/4.

    An image on the second axis with p = (0.2, 0.8) has s = (1, e) / (1 + e), and q = 3/4 p + 1/4 s; a third class has
    no prototype and no part in s.
    """
    made = tailed("daso", 3, {"algo.temperature": 1.0, "algo.spread": 1.0, "labeler.tau": 0.0, "algo.queue": 1})
    made.teacher.queue[0, 0], made.teacher.queue[1, 1] = 3.0, 2.0
    made.teacher.filled.copy_(torch.tensor([1, 1, 0]))
    made.teacher.shares.copy_(torch.tensor([0.5, 0.125, 0.375]))
    out = of((0.2, 0.8, 1e-12))
    out = type(out)(out.logits, torch.eye(6, dtype=torch.float64)[[1]])
    made.teacher.teacher.predict = lambda student, images, step: out
    q = made.teacher.predict(made.student, torch.zeros(1), Step(10, 20, 0)).p[0].tolist()
    assert q[0] == pytest.approx(0.75 * 0.2 + 0.25 / (1 + math.e))
    assert q[1] == pytest.approx(0.75 * 0.8 + 0.25 * math.e / (1 + math.e))
    assert made.teacher.predict(made.student, torch.zeros(1), Step(0, 20, 0)) is out
    strong = type(out)(out.logits, torch.eye(6, dtype=torch.float64)[[0]])
    found = made.extra(out, out, strong, weighed(1, classes=3), {}, Step(10, 20, 0))["aligned"].item()
    assert found == pytest.approx(math.log(1 + math.e) - 1 / (1 + math.e))


def test_daso_learns_from_the_averaged_networks_features_and_counts_all_labels() -> None:
    made = tailed("daso", request={"algo.period": 2, "labeler.tau": 0.9}, averaged=Tiny(5, seed=1))
    assert made.teacher.shares.tolist() == pytest.approx(shares_of(counts_of(5)))
    seen, counts = [], [0] * 5
    for index in range(2):
        given = [drawn("daso", 2, 6, 5, seed=2 * index + k) for k in range(2)]
        losses = [made(one, Step(index, 9, 0)) for one in given]
        seen += [f for one in given for f in made.average.network(one["labeled"]["weak"]).features]
        for loss in losses:
            for y in loss.labels.target.argmax(1).tolist():
                counts[y] += 1
        made.after_step(losses, Step(index, 9, 0))
    assert made.teacher.shares.tolist() == pytest.approx([n / 24 for n in counts])
    assert made.teacher.counts.tolist() == [0] * 5
    assert made.teacher.filled.tolist() == [4, 4, 0, 0, 0]
    torch.testing.assert_close(made.teacher.queue[:4].double(), torch.stack(seen[::2]), rtol=1e-6, atol=1e-6)


def test_daso_is_fixmatch_before_there_are_prototypes() -> None:
    given = drawn("daso", 4, 6, 5)
    made, plain = (tailed(name, request={"labeler.tau": 0.5}) for name in ("daso", "fixmatch"))
    found, expected = (one(given, Step(0, 20, 0)).terms for one in (made, plain))
    assert found.pop("aligned").item() == 0
    assert {name: term.item() for name, term in found.items()} == {name: t.item() for name, t in expected.items()}


def test_daso_reports_its_own_average() -> None:
    made = job({"algo": "daso", "semi.steps": 3})
    assert made.average is made.algorithm.average


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("cossl", {"algo.least": 1.5}),
        ("cossl", {"algo.wait": -1.0}),
        ("daso", {"algo.weight": -1.0}),
        ("daso", {"algo.temperature": 0.0}),
        ("daso", {"algo.spread": 0.0}),
        ("daso", {"algo.queue": 0}),
        ("daso", {"algo.wait": 2.0}),
    ],
)
def test_options_are_checked(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        algorithm(name, setup(), wrong)
