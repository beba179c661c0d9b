"""ReMixMatch against its equations as loops, an example by hand, and what must hold."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sslkit.algorithms._rotation import rotated
from sslkit.contracts import Batch, Stream
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.make import STEP, Trainer, algorithm, batch, images, network, seen_as, setup
from tests.algorithms.tiny import (
    CASES,
    Given,
    Quarter,
    Terms,
    compare,
    drawn,
    entropy,
    log,
    made_of,
    mean,
    shown,
    softmax,
)

CPU = torch.device("cpu")


def turned(image: Tensor, times: int) -> Tensor:
    """Counter-clockwise by quarters, pixel by pixel."""
    for _ in range(times):
        side, out = image.shape[1], torch.empty_like(image)
        for y in range(side):
            for x in range(side):
                out[:, side - 1 - x, y] = image[:, y, x]
        image = out
    return image


def loops(made: Any, given: Batch, step: Step) -> Terms:
    x, u, net = given["labeled"], given["unlabeled"], made.student
    assert x.label is not None
    goal, seen = made.align.goal, made.align.mean
    targets = []
    for z in net(u["weak"]).logits.detach():
        a = [float(p) * (float(goal[c]) + 1e-6) / (float(seen[c]) + 1e-6) for c, p in enumerate(softmax(z))]
        powers = [(v / sum(a)) ** (1 / made.temperature) for v in a]
        targets.append(torch.tensor([v / sum(powers) for v in powers], dtype=torch.float64))
    n, classes = len(targets), len(targets[0])
    hard = [torch.eye(classes, dtype=torch.float64)[y] for y in x.label.tolist()]
    views = torch.cat([x["weak"], u["strong"], u["strong2"], u["weak"]])
    rows = [*hard, *targets, *targets, *targets]
    mixed = torch.stack([0.75 * views[i] + 0.25 * views[-1 - i] for i in range(len(rows))])
    goals = [0.75 * rows[i] + 0.25 * rows[-1 - i] for i in range(len(rows))]
    lost = [entropy(q, softmax(z)) for q, z in zip(goals, net(mixed).logits, strict=True)]
    quarters = [int(4 * v) for v in step.uniform("rotation", n, device=CPU).tolist()]
    round_ = torch.stack([turned(image, k) for image, k in zip(u["strong"], quarters, strict=True)])
    told = [made.head.weight @ f + made.head.bias for f in net(round_).features]
    plain = [entropy(q, softmax(z)) for q, z in zip(targets, net(u["strong"]).logits, strict=True)]
    ramp = min(1.0, step.index / (made.ramp * step.total))
    return {
        "supervised": mean(lost[: len(hard)]),
        "mixed": 1.5 * ramp * mean(lost[len(hard) :]),
        "unmixed": 0.5 * ramp * mean(plain),
        "rotation": 0.5 * mean([log(softmax(z), k) for z, k in zip(told, quarters, strict=True)]),
    }


def remixmatch(classes: int, request: dict[str, Any] | None = None) -> Any:
    made = made_of("remixmatch", classes, request)
    assert made.mixer.alpha == 0.75
    made.mixer = Quarter()
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("ramp", [1 / 64, 0.4])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, ramp: float) -> None:
    made = remixmatch(classes, {"algo.ramp": ramp})
    made.align.mean.copy_(torch.rand(classes, generator=torch.Generator().manual_seed(2)).softmax(0))
    losses = compare(made, loops, drawn("remixmatch", labeled, unlabeled, classes))
    assert losses.labels is not None
    assert losses.labels.weight.all()


def test_by_hand() -> None:
    """Shares (2, 1, 1) / 4 over a mean of (1, 2, 1) / 4: an even p is (2, 1/2, 1), and squared (16, 1, 4) / 21."""
    request = {"mixer": "none", "algo.ramp": 0.0}
    about = setup(Given(3), classes=3, class_counts=torch.tensor([2, 1, 1]))
    made: Any = algorithm("remixmatch", about, request).double()
    made.align.mean.copy_(torch.tensor([0.25, 0.5, 0.25]))
    nn.init.zeros_(made.head.weight)
    nn.init.zeros_(made.head.bias)
    x = Stream({"weak": shown((0.5, 0.25, 0.25))}, torch.arange(1), torch.tensor([1]))
    even = shown(*3 * [(1 / 3, 1 / 3, 1 / 3)])
    strong = [(0.2, 0.5, 0.3), (0.7, 0.1, 0.2), (0.4, 0.4, 0.2)]
    views = {"weak": even, "strong": shown(*strong), "strong2": even}
    losses = made({"labeled": x, "unlabeled": Stream(views, torch.arange(3))}, STEP)
    plain = [-sum(n * math.log(p) for n, p in zip((16, 1, 4), row, strict=True)) / 21 for row in strong]
    terms = {name: term.item() for name, term in losses.terms.items()}
    assert terms["supervised"] == pytest.approx(math.log(4), rel=1e-6)
    assert terms["mixed"] == pytest.approx(1.5 * (sum(plain) + 6 * math.log(3)) / 9, rel=1e-5)
    assert terms["unmixed"] == pytest.approx(0.5 * sum(plain) / 3, rel=1e-5)
    assert terms["rotation"] == pytest.approx(0.5 * math.log(4), rel=1e-6)


def test_images_are_turned_by_their_quarters() -> None:
    x, quarters = images(6), torch.tensor([3, 0, 2, 1, 1, 0])
    for out, image, k in zip(rotated(x, quarters), x, quarters.tolist(), strict=True):
        assert out.equal(turned(image, k))


def test_rotations_are_drawn_evenly_and_anew() -> None:
    made = remixmatch(5)
    told: list[Tensor] = []
    made.head.register_forward_hook(lambda module, given, out: told.append(out))
    given = drawn("remixmatch", 1, 50, 5)
    for index in (0, 1):
        made(given, Step(index, 20, 0))
    assert not told[0].equal(told[1])
    quarters = (4 * STEP.uniform("rotation", 4000, device=CPU)).long()
    assert quarters.bincount(minlength=4).tolist() == pytest.approx([1000] * 4, rel=0.1)


def test_the_running_mean_follows_the_weak_predictions() -> None:
    made = remixmatch(5, {"algo.momentum": 0.75})
    expected = made.align.goal.clone()
    assert expected.tolist() == pytest.approx([1 / 9, 2 / 9, 3 / 9, 1 / 9, 2 / 9])
    for index in range(3):
        given = drawn("remixmatch", 2, 6, 5, seed=index)
        found = mean([softmax(z) for z in made.student(given["unlabeled"]["weak"]).logits.detach()])
        expected = 0.75 * expected + 0.25 * found if index else found
        made.train_step(Trainer(made), [given], [Step(index, 20, 0)])
        torch.testing.assert_close(made.align.mean, expected)


def test_statistics_are_of_the_mixed_images_alone() -> None:
    student = network("wrn")
    made = algorithm("remixmatch", setup(student), {"mixer": "none"})
    given, twin = batch(type(made)), copy.deepcopy(student)
    made(given, STEP)
    u = given["unlabeled"]
    twin(torch.cat([given["labeled"]["weak"], u["strong"], u["strong2"], u["weak"]]))
    for key, buffer in student.named_buffers():
        assert buffer.equal(dict(twin.named_buffers())[key]), key


def test_the_second_strong_view_counts() -> None:
    made = remixmatch(5)
    given = drawn("remixmatch", 3, 6, 5)
    other = seen_as(given, {"strong2": given["unlabeled"]["strong"]})
    assert not made(given, STEP).terms["mixed"].equal(made(other, STEP).terms["mixed"])
    assert made(given, STEP).terms["unmixed"].equal(made(other, STEP).terms["unmixed"])


@pytest.mark.parametrize("key", ["unmixed", "rotation", "weight", "momentum"])
def test_options_out_of_range_are_refused(key: str) -> None:
    with pytest.raises(UserError, match=rf"algo\.{key}"):
        remixmatch(5, {f"algo.{key}": -0.5})
