"""Meta Pseudo Labels against a whole step as loops, an example by hand, and what must hold."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.contracts import Batch, Stream
from sslkit.errors import UserError
from sslkit.network import Classifier
from sslkit.randomness import Step
from tests.algorithms.make import STEP, Trainer, algorithm, batch, gradient, network, setup
from tests.algorithms.tiny import CASES, Given, Tiny, drawn, entropy, log, made_of, mean, shown, softmax

NAME, RATE = "meta_pseudo_labels", 0.1  # of the plain descent by `Trainer`


def made(classes: int, request: dict[str, Any] | None = None) -> Any:
    """With a teacher that is another network than the student."""
    return made_of(NAME, classes, request, averaged=Tiny(classes, seed=1))


def on_labels(net: Classifier, given: Batch) -> Tensor:
    x = given["labeled"]
    assert x.label is not None
    return mean([log(softmax(z), y) for z, y in zip(net(x["weak"]).logits, x.label.tolist(), strict=True)])


def descend(net: Classifier, loss: Tensor) -> None:
    ps = list(net.parameters())
    for g, p in zip(torch.autograd.grad(loss, ps), ps, strict=True):
        p.data -= RATE * g


def whole_step(one: Any, given: Batch, step: Step) -> dict[str, Tensor]:
    """The step of both networks, in place; the terms."""
    u, student, teacher = given["unlabeled"], one.student, one.teacher
    y = [int(z.argmax()) for z in teacher(u["strong"]).logits]
    on_guess = mean([log(softmax(z), c) for z, c in zip(student(u["strong"]).logits, y, strict=True)])
    before = on_labels(student, given).item()
    descend(student, on_guess)
    h = before - on_labels(student, given).item()
    one.baseline.copy_(0.99 * one.baseline + 0.01 * h)
    h -= one.baseline.item()
    uda, reward = [], []
    for weak, strong, c in zip(teacher(u["weak"]).logits.detach(), teacher(u["strong"]).logits, y, strict=True):
        kept = softmax(weak).max() >= one.tau
        uda.append(kept * entropy(softmax(weak / one.temperature), softmax(strong)))
        reward.append(log(softmax(strong), c))
    risen = min(1.0, step.index / (one.ramp * step.total))
    terms = {"student": on_guess, "supervised": on_labels(teacher, given)}
    terms |= {"uda": one.weight * risen * mean(uda), "feedback": h * mean(reward)}
    descend(teacher, terms["supervised"] + terms["uda"] + terms["feedback"])
    return terms


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_a_step_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float) -> None:
    one = made(classes, {"algo.tau": tau, "algo.ramp": 0.4})
    one.baseline.fill_(0.3)
    other, given = copy.deepcopy(one), drawn(NAME, labeled, unlabeled, classes)
    (losses,) = one.train_step(Trainer(one), [given], [STEP])
    expected = whole_step(other, given, STEP)
    assert list(losses.terms) == list(expected)
    for name, term in losses.terms.items():
        torch.testing.assert_close(term, expected[name].to(term), rtol=1e-9, atol=1e-12, msg=name)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-9, atol=1e-12, msg=name)
    assert one.feedback is None


def test_by_hand() -> None:
    """The parameter scales logarithms of p. Of (3/4, 1/4), (1/2, 1/2), (1/4, 3/4) the classes are 0, 0, 1.

    The student's slope is sum_c p_c log p_c - log p_y: -0.562335 + 0.287682, 0, -0.274653; its mean -0.183102. Labelled
    (1/4, 3/4) of class 0: 1.386294, and with the scale 1.0183102 p is 1 / (1 + 3^1.0183102).
    """
    net = Given(2)
    one: Any = algorithm(NAME, setup(net, averaged=Given(2), classes=2), {"algo.weight": 0.0}).double()
    views = shown((0.75, 0.25), (0.5, 0.5), (0.25, 0.75))
    x = Stream({"weak": views[2:]}, torch.arange(1), torch.tensor([0]))
    given = {"labeled": x, "unlabeled": Stream({"weak": views, "strong": views}, torch.arange(3))}
    (losses,) = one.train_step(Trainer(one), [given], [STEP])
    losses_of_views = (2 * 0.287682 + 0.693147) / 3
    assert losses.terms["student"].item() == pytest.approx(losses_of_views, rel=1e-5)
    assert net.scale.item() == pytest.approx(1.0183102, rel=1e-6)
    h = 1.386294 - math.log(1 + 3**1.0183102)
    assert h < 0
    assert one.baseline.item() == pytest.approx(0.01 * h, rel=1e-3)
    assert losses.terms["feedback"].item() == pytest.approx(0.99 * h * losses_of_views, rel=1e-3)
    # the teacher's slopes: on the label 0.25 ln 0.25 + 0.75 ln 0.75 - ln 0.25 = 0.823959, on its own classes -0.183102
    assert one.teacher.scale.item() == pytest.approx(1 - 0.1 * (0.823959 + 0.99 * h * -0.183102), rel=1e-5)


def test_a_label_that_helped_becomes_likelier() -> None:
    one, given = made(5), drawn(NAME, 3, 6, 5)
    u = given["unlabeled"]["strong"]
    before = one.teacher(u).p.max(1)
    one.teach(given, STEP, torch.tensor(1.0)).terms["feedback"].backward()
    with torch.no_grad():
        for p in one.teacher.parameters():
            p.sub_(gradient(p), alpha=1e-3)
    after = one.teacher(u).p.gather(1, before.indices[:, None])[:, 0]
    assert after.log().mean() > before.values.log().mean()


def test_feedback_is_the_product_of_gradients_at_first_order() -> None:
    """eta <gradient on labels, gradient on pseudo-labels>."""
    one, given = made(5), drawn(NAME, 3, 6, 5)
    parameters = list(one.student.parameters())
    products = zip(
        torch.autograd.grad(one.learn(given, STEP).total, parameters),
        torch.autograd.grad(on_labels(one.student, given), parameters),
        strict=True,
    )
    expected = 1e-5 * sum((a * b).sum() for a, b in products).item()

    class Slow(Trainer):
        def update(self, name: str = "main") -> None:
            with torch.no_grad():
                for p in self.made.trainable()[name].parameters():
                    p.sub_(gradient(p), alpha=1e-5)

    one.train_step(Slow(one), [given], [STEP])
    assert one.baseline.item() == pytest.approx(0.01 * expected, rel=1e-3)


def test_the_students_half_leaves_the_teacher_alone_and_the_other_way_round() -> None:
    one, given = made(5), drawn(NAME, 3, 6, 5)
    assert one.teacher.head.weight.equal(Tiny(5, seed=1).head.weight), "it starts as the average"
    for losses, idle in ((one.learn(given, STEP), one.teacher), (one.teach(given, STEP, torch.ones(())), one.student)):
        one.zero_grad()
        losses.total.backward()
        assert all(not gradient(p).any() for p in idle.parameters())
        assert all(p.grad is not None for p in one.parameters())


def test_statistics_are_the_students_of_one_labelled_and_one_strong_forward() -> None:
    student = network("wrn")
    one: Any = algorithm(NAME, setup(student))
    kept = copy.deepcopy(one.teacher.state_dict())
    one.train_step(Trainer(one), [batch(type(one))], [STEP])
    counts = [b.item() for n, b in student.named_buffers() if n.endswith("num_batches_tracked")]
    assert {*counts} == {2}
    assert all(b.equal(kept[n]) for n, b in one.teacher.named_buffers())


def test_feedback_is_of_the_whole_batch() -> None:
    """Two micro-batches of the same images are one, but for the draws, of which this network has none."""
    given, ended = drawn(NAME, 3, 6, 5), []
    for batches, steps in (([given], [STEP]), ([given, given], [STEP, STEP.at(1)])):
        one = made(5)
        one.train_step(Trainer(one), batches, steps)
        ended.append(one.state_dict())
    for name, value in ended[0].items():
        torch.testing.assert_close(value, ended[1][name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "wrong", [{"algo.weight": -1.0}, {"algo.ramp": 2}, {"algo.tau": 1.1}, {"algo.temperature": 0.0}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        made(5, wrong)
