"""Prediction-powered learning against a step as loops, an example by hand, and what must hold."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.contracts import Batch, Stream
from sslkit.network import Classifier, Output
from tests.algorithms.make import POOL, STEP, Trainer, algorithm, setup
from tests.algorithms.tiny import CASES, Given, Tiny, drawn, log, made_of, mean, shown, softmax

NAME = "prediction_powered"


class Still(Trainer):
    """The student stays as it is."""

    def update(self, name: str = "main") -> None:
        self.made.zero_grad()


def on(net: Classifier, images: Tensor, y: list[int]) -> Tensor:
    return mean([log(softmax(z), c) for z, c in zip(net(images).logits, y, strict=True)])


def flat(loss: Tensor, net: Classifier) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)])


def filled(classes: int, share: float) -> Any:
    made = made_of(NAME, classes, averaged=Tiny(classes, seed=1), labeled=10)
    made.average.network.double()
    made.of_labeled.copy_(torch.arange(10).flip(0) % classes)
    made.of_unlabeled.copy_(torch.arange(POOL) ** 2 % classes)
    made.share.fill_(share)
    made.squares.fill_(0.3)
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_step_is_the_loop(labeled: int, unlabeled: int, classes: int, share: float) -> None:
    made, given = filled(classes, share), drawn(NAME, labeled, unlabeled, classes)
    net, x, u = copy.deepcopy(made.student), given["labeled"], given["unlabeled"]
    assert x.label is not None
    (losses,) = made.train_step(Trainer(made), [given], [STEP])
    supervised = on(net, x["weak"], x.label.tolist())
    pool = on(net, u["weak"], [i**2 % classes for i in range(unlabeled)])
    bias = on(net, x["weak"], [(9 - i) % classes for i in range(labeled)])
    expected = {"supervised": supervised, "pool": share * pool, "bias": -share * bias}
    assert list(losses.terms) == list(expected)
    for name, term in losses.terms.items():
        torch.testing.assert_close(term, expected[name].to(term), rtol=1e-6, atol=1e-9, msg=name)
    d = flat(pool - bias, net)
    g = flat(supervised, net) + share * d
    h = 2 * (g @ d).item()
    squares = 0.3 + h * h
    assert made.squares.item() == pytest.approx(squares, rel=1e-6)
    assert made.share.item() == pytest.approx(min(1.0, max(0.0, share - h / (2 * squares) ** 0.5)), rel=1e-5)
    mine = torch.cat([p.flatten() for p in made.student.parameters()])
    theirs = torch.cat([p.flatten() for p in net.parameters()]) - 0.1 * g
    torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(made.average.network.head.weight[0, 0], averaged(made, classes))


def averaged(made: Any, classes: int) -> Tensor:
    start = Tiny(classes, seed=1).head.weight[0, 0]
    return 0.9 * start + 0.1 * made.student.head.weight[0, 0]


def test_by_hand() -> None:
    """Slopes by the scale are sum_c p_c log p_c - log p_y; labelled images are of class 0, 0 and 1.

    Of (3/4, 1/4) they are -0.274653 and 0.823959; of (1/2, 1/2) 0. The fixed network has the third label wrong.
    """
    made: Any = algorithm(NAME, setup(Given(2), averaged=Given(2), classes=2)).double()
    made.share.fill_(0.5)
    views = shown((0.75, 0.25), (0.75, 0.25), (0.5, 0.5))
    x = Stream({"weak": views.flip(0)}, torch.arange(3), torch.tensor([0, 0, 1]))
    made.of_labeled[:3] = torch.tensor([0, 0, 0])
    made.of_unlabeled[:3] = torch.tensor([0, 1, 1])
    given = {"labeled": x, "unlabeled": Stream({"weak": views}, torch.arange(3))}
    made.train_step(Trainer(made), [given], [STEP])
    labels = (0 - 0.274653 + 0.823959) / 3
    d = (-0.274653 + 0.823959 + 0) / 3 - (0 - 0.274653 - 0.274653) / 3
    g = labels + 0.5 * d
    assert made.student.scale.item() == pytest.approx(1 - 0.1 * g, rel=1e-6)
    assert made.squares.item() == pytest.approx((2 * g * d) ** 2, rel=1e-5)
    assert made.share.item() == 0  # a first step is 1 / sqrt 2 long


def test_where_the_pool_is_the_labelled_images_the_share_has_no_effect() -> None:
    ended = []
    for share in (0.0, 1.0):
        made = filled(5, share)
        made.of_unlabeled[:10] = made.of_labeled
        x = drawn(NAME, 4, 4, 5)["labeled"]
        given = {"labeled": x, "unlabeled": Stream(x.views, x.index)}
        made.train_step(Trainer(made), [given], [STEP])
        assert made.share.item() == share
        ended.append(made.student.state_dict())
    for name, value in ended[0].items():
        torch.testing.assert_close(value, ended[1][name])


def settled(right: bool) -> float:
    """The share after 60 batches of labels that the student has nothing to learn from: their gradient is all noise.

    Labels are drawn from the student's own predictions; the fixed network has them, or others at random.
    """
    made, classes, shares = made_of(NAME, 4, labeled=10, unlabeled=400), 4, []
    generator = torch.Generator().manual_seed(0)
    for n in range(60):
        given: Batch = drawn(NAME, 8, 400, classes, seed=n)
        ys = []
        for stream in given.values():
            p = made.student(stream["weak"]).p
            ys.append(torch.multinomial(p, 1, generator=generator)[:, 0])
        fixed = ys if right else [torch.randint(0, classes, (len(y),), generator=generator) for y in ys]
        made.of_labeled[:8], made.of_unlabeled[:] = fixed
        labeled = Stream(given["labeled"].views, given["labeled"].index, ys[0])
        made.train_step(Still(made), [{**given, "labeled": labeled}], [STEP])
        shares.append(made.share.item())
    return sum(shares[-20:]) / 20


def test_the_share_is_large_for_right_labels_and_small_for_random_ones() -> None:
    assert settled(right=True) > 0.8
    assert settled(right=False) < 0.2


def test_the_fixed_networks_classes_go_by_the_place_in_the_data() -> None:
    made = filled(5, 0.0)

    class Shown(Still):
        def encode(self, network: Classifier, stream: str) -> Output:
            assert network is made.average.network
            n = {"labeled": 10, "unlabeled": POOL}[stream]
            logits = torch.eye(5)[(torch.arange(n) + len(stream)) % 5]
            return Output(logits, logits)

    made.start(Shown(made))
    assert made.of_labeled.tolist() == [(i + 7) % 5 for i in range(10)]
    assert made.of_unlabeled.tolist() == [(i + 9) % 5 for i in range(POOL)]


def test_two_micro_batches_are_the_mean_of_both() -> None:
    ended = []
    given = drawn(NAME, 3, 6, 5)
    for batches, steps in (([given], [STEP]), ([given, given], [STEP, STEP.at(1)])):
        made = filled(5, 0.4)
        made.train_step(Trainer(made), batches, steps)
        ended.append(made.state_dict())
    for name, value in ended[0].items():
        torch.testing.assert_close(value, ended[1][name])


def test_batches_of_one_class_at_rest_are_finite() -> None:
    made = filled(2, 0.0)
    made.squares.zero_()
    made.of_unlabeled.copy_(torch.zeros(POOL))
    x = drawn(NAME, 1, 1, 2)["labeled"]
    made.of_labeled.zero_()
    made.train_step(Trainer(made), [{"labeled": x, "unlabeled": Stream(x.views, x.index)}], [STEP])
    assert made.share.item() == 0
    assert all(p.isfinite().all() for p in made.parameters())
