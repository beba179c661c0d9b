"""SAW and CDMAD: against loops in float64, examples worked by hand, and what must not change anything."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.algorithms.saw import effective
from sslkit.average import Average
from sslkit.contracts import Batch
from sslkit.errors import UserError
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.training.engine import Engine
from tests.algorithms.long_tail import CASES, best, counts_of, drawn, tailed
from tests.algorithms.make import STEP, Trainer, algorithm, images, job, network, setup
from tests.algorithms.make import batch as of_images
from tests.algorithms.tiny import Terms, compare, entropy, labelled, log, mean, softmax


def inverse(counts: list[int]) -> list[float]:
    """The loop: 1 / (1 + b + b^2 + … of n terms), which is (1 - b) / (1 - b^n)."""
    filled = [max(1, n) for n in counts]
    m = sum(filled) / len(filled)
    found = [1 / sum(((m - 1) / m) ** k for k in range(n)) for n in filled]
    return [w * len(found) / sum(found) for w in found]


@pytest.mark.parametrize("counts", [[8, 5, 3, 1, 0], [1, 1, 1], [0, 0, 2], [500, 50, 5], counts_of(100)])
def test_weights_are_the_loop(counts: list[int]) -> None:
    assert effective(torch.tensor(counts)).tolist() == pytest.approx(inverse(counts), rel=1e-6)


def test_weights_by_hand() -> None:
    """Counts 3 and 1: b = 1/2, so 1 / (7/4) and 1, which is 8/11 and 14/11."""
    assert effective(torch.tensor([3, 1])).tolist() == pytest.approx([8 / 11, 14 / 11])
    assert effective(torch.tensor([7] * 4)).tolist() == pytest.approx([1] * 4)


def saw(made: Any, given: Batch, step: Step) -> Terms:
    """The loops."""
    net, x, u = made.student, given["labeled"], given["unlabeled"]
    v, weights = inverse(counts_of(made.classes)), made.labeler.weights.tolist()
    assert x.label is not None
    supervised = [v[y] * log(softmax(z), y) for z, y in zip(net(x["weak"]).logits, x.label.tolist(), strict=True)]
    unlabeled = []
    for z, s in zip(net(u["weak"]).logits, net(u["strong"]).logits, strict=True):
        y, o = best(softmax(z))
        unlabeled.append(float(o >= made.labeler.labeler.tau) * weights[y] * log(softmax(s), y))
    return {"supervised": mean(supervised), "unlabeled": made.lambda_u * mean(unlabeled)}


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_saw_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float) -> None:
    made = tailed("saw", classes, {"labeler.tau": tau, "algo.lambda_u": 0.7})
    made.labeler.weights.copy_(torch.rand(classes, generator=torch.Generator().manual_seed(1)))
    compare(made, saw, drawn("saw", labeled, unlabeled, classes), near=1e-6)  # weights are float32


def test_saw_takes_one_hot_rows_for_labels() -> None:
    made = tailed("saw")
    given = drawn("saw", 4, 3, 5)
    x = given["labeled"]
    assert x.label is not None
    rows = {**given, "labeled": replace(x, target=torch.eye(5, dtype=torch.float64)[x.label])}
    torch.testing.assert_close(made(rows, STEP).terms["supervised"], made(given, STEP).terms["supervised"])


class Counting(Trainer):
    """An engine whose pool is of classes 0, 0, 0 and 1."""

    asked: list[int]
    step: int

    def encode(self, network: Classifier, stream: str) -> Output:
        assert isinstance(self.made.average, Average)
        assert network is self.made.average.network
        assert stream == "unlabeled"
        self.asked.append(self.step)
        return Output(torch.eye(5)[[0, 0, 0, 1]], torch.zeros(4, 2))


def test_saw_counts_the_pool_once_in_every_pass() -> None:
    """Of 40 images 12 a step, in two micro-batches: a pass ends within steps 3, 6, 9, and it is counted next."""
    made: Any = algorithm("saw", setup())
    trainer = Counting(made)
    trainer.asked = []
    for index in range(12):
        trainer.step = index
        given = [of_images(type(made)) for _ in range(2)]
        made.train_step(trainer, given, [Step(index, 20, 0), Step(index, 20, 0, 1)])
        expected = [1.0] * 5 if index < 4 else inverse([3, 1, 0, 0, 0])
        assert made.labeler.weights.tolist() == pytest.approx(expected)
    assert trainer.asked == [4, 7, 10]


def test_saw_weighs_any_labeler_and_lets_it_learn_from_what_it_gave() -> None:
    made: Any = algorithm("saw", setup(), {"labeler": "softmatch"})
    plain: Any = algorithm("fixmatch", setup(), {"labeler": "softmatch"})
    made.labeler.weights.copy_(torch.tensor([0.5, 2, 0.1, 3, 1]))
    given: Any = of_images(type(made))
    losses, expected = made(given, STEP), plain(given, STEP)
    scale = made.labeler.weights[expected.labels.target.argmax(1)]
    torch.testing.assert_close(losses.labels.weight, expected.labels.weight * scale)
    learned = []
    made.labeler.labeler.update = lambda labels, index, step: learned.append(labels.weight)
    made.after_step([losses], STEP)
    torch.testing.assert_close(learned, [expected.labels.weight])


def test_saws_average_is_the_one_that_is_reported(tmp_path: Any) -> None:
    made = job({"algo": "saw", "semi.steps": 3})
    assert made.average is made.algorithm.average
    start = {name: value.clone() for name, value in made.average.network.state_dict().items()}
    Engine(made, tmp_path).train()
    student = made.algorithm.student.state_dict()
    for name, value in made.average.network.named_parameters():
        assert not value.equal(start[name])
        assert not value.equal(student[name])


# CDMAD


def cdmad(made: Any, given: Batch, step: Step) -> Terms:
    """The loops, of soft labels that all count."""
    net, u = made.student, given["unlabeled"]
    white = net(torch.ones_like(u["weak"])[:1]).logits[0]
    late = step.index >= made.wait * step.total
    unlabeled = []
    for i in range(len(u.index)):
        z = net(u["weak"]).logits[i] - (white if late else 0)
        q = softmax(z).detach()
        unlabeled += [entropy(q, softmax(net(u[view]).logits[i])) for view in ("strong", "strong2")]
    return {"supervised": labelled(made, given), "unlabeled": made.lambda_u * mean(unlabeled)}


@pytest.mark.parametrize("index", [0, 9, 10])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_cdmad_is_the_loop(labeled: int, unlabeled: int, classes: int, index: int) -> None:
    made = tailed("cdmad", classes, {"algo.wait": 0.5, "algo.lambda_u": 0.7})
    compare(made, cdmad, drawn("cdmad", labeled, unlabeled, classes), Step(index, 20, 3))


def test_cdmad_by_hand() -> None:
    """The empty image is predicted (1/2, 1/4, 1/4), an image the same: what is left is even, and its loss is ln 3."""
    made = tailed("cdmad", 3, {"algo.wait": 0.0})
    bias = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log()
    with torch.no_grad():
        made.student.head.weight.zero_()
        made.student.head.bias.copy_(bias)
    losses = made(drawn("cdmad", 3, 3, 3), STEP)
    torch.testing.assert_close(losses.labels.target, torch.full((3, 3), 1 / 3, dtype=torch.float64))
    assert losses.terms["unlabeled"].item() == pytest.approx(-(math.log(0.5) + 2 * math.log(0.25)) / 3)
    assert made.predict(made.student, torch.randn(4, 3, 4, 4).double()).abs().max().item() < 1e-12


def test_cdmad_is_blind_to_what_the_head_adds_to_a_class() -> None:
    net: Any = network("wrn").eval()
    made = algorithm("cdmad", setup(net))
    x = images(4)
    before = made.predict(net.eval(), x)
    with torch.no_grad():
        net.classifier().bias += torch.tensor([3.0, -2, 0, 1, 5])
    torch.testing.assert_close(made.predict(net, x), before)


def test_the_empty_image_moves_no_statistic_and_is_seen_in_evaluation_mode() -> None:
    moved = []
    for wait in (0.0, 1.0):
        net = network("wrn")
        made = algorithm("cdmad", setup(net), {"algo.wait": wait})
        made(of_images(type(made)), STEP)
        assert net.training
        moved.append(dict(net.named_buffers()))
    assert all(value.equal(moved[1][name]) for name, value in moved[0].items())
    net.train()
    made = algorithm("cdmad", setup(net), {"algo.wait": 0.0})
    given: Any = of_images(type(made), unlabeled=1)
    plain = net.eval()(torch.ones(1, 3, 8, 8)).logits
    modes: list[bool] = []
    net.register_forward_hook(lambda module, shown, out: modes.append(module.training))
    made.train()(given, STEP)
    assert modes == [True, False, True, True, True]
    assert plain.shape == (1, 5)


def test_cdmad_can_be_exported() -> None:
    net: Any = network().eval()
    made = algorithm("cdmad", setup(net))

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = net

        def forward(self, x: Tensor) -> Tensor:
            return made.predict(self.network, x)

    shape = {"x": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(Whole().eval(), (images(2),), dynamic_shapes=shape, strict=False).module()
    for n in (1, 5):
        torch.testing.assert_close(program(images(n)), made.predict(net, images(n)), rtol=1e-4, atol=1e-5)


def test_cdmads_options_are_checked() -> None:
    for wrong in ({"algo.wait": 1.5}, {"algo.lambda_u": -1.0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            algorithm("cdmad", setup(), wrong)
