"""CRMatch against its equations as loops, an example by hand, and what must hold."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sslkit.contracts import Batch, Stream
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.make import STEP, algorithm, batch, images, job, network, setup
from tests.algorithms.tiny import (
    CASES,
    Given,
    Terms,
    compare,
    drawn,
    labelled,
    log,
    made_of,
    mean,
    order,
    shown,
    softmax,
)


def turned(image: Tensor, times: int) -> Tensor:
    """Counter-clockwise by quarters: columns from the right become rows."""
    for _ in range(times):
        image = torch.stack([image[:, :, x] for x in reversed(range(image.shape[2]))], 1)
    return image


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u, net = given["unlabeled"], made.student
    weak, strong = net(u["weak"]), net(u["strong"])
    zero = 0 * strong.logits.sum()
    unlabeled, distance, rotation = [], [], []
    for z, s, a, b in zip(weak.logits, strong.logits, weak.features, strong.features, strict=True):
        p = softmax(z).detach()
        kept = p.max() >= made.labeler.tau
        unlabeled.append(log(softmax(s), order(p)[0]) if kept else zero)
        one, other = made.g.weight @ a + made.g.bias, made.g.weight @ b + made.g.bias
        cosine = (one @ other) / (one.norm() * other.norm())
        distance.append(cosine if kept and cosine > 0 else 0 * cosine)
    first, last = made.r[0], made.r[2]
    for image in given["all"]["weak"]:
        for k in range(4):
            hidden = first.weight @ net(turned(image, k)[None]).features[0] + first.bias
            hidden = torch.stack([y if y > 0 else 0 * y for y in hidden])
            rotation.append(log(softmax(last.weight @ hidden + last.bias), k))
    return {
        "supervised": labelled(made, given),
        "unlabeled": made.lambda_u * mean(unlabeled),
        "distance": made.lambda_d * mean(distance),
        "rotation": made.lambda_r * mean(rotation),
    }


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, seed: int) -> None:
    request = {"labeler.tau": tau, "algo.lambda_u": 0.7, "algo.lambda_d": 0.5, "algo.lambda_r": 0.3}
    made = made_of("crmatch", classes, request)
    with torch.no_grad():
        made.g.bias.normal_(generator=torch.Generator().manual_seed(seed))
    compare(made, loops, drawn("crmatch", labeled, unlabeled, classes, seed))


def test_by_hand() -> None:
    """Of the pixel's first number as feature, by g the same: cosines 1, -1 and, rejected, 1. Rotations are a guess."""
    made: Any = algorithm("crmatch", setup(Given(3), classes=3), {"labeler.tau": 0.5}).double()
    for p in made.r.parameters():
        nn.init.zeros_(p)
    nn.init.zeros_(made.g.bias)
    with torch.no_grad():
        made.g.weight.copy_(torch.diag(torch.tensor([1.0, 0.0, 0.0])))
    weak = shown((0.6, 0.3, 0.1), (0.1, 0.8, 0.1), (0.4, 0.3, 0.3))
    strong = shown((0.5, 0.3, 0.2), (0.3, 0.4, 0.3), (0.2, 0.5, 0.3))
    strong[1] += 2.0  # the same prediction, the first number above 0
    x = Stream({"weak": weak[:1]}, torch.arange(1), torch.tensor([2]))
    given = {"labeled": x, "unlabeled": Stream({"weak": weak, "strong": strong}, torch.arange(3))}
    terms = made(given | {"all": Stream({"weak": weak}, torch.arange(3))}, STEP).terms
    assert terms["supervised"].item() == pytest.approx(-math.log(0.1))
    assert terms["unlabeled"].item() == pytest.approx(-(math.log(0.5) + math.log(0.4)) / 3)
    assert terms["distance"].item() == pytest.approx(1 / 3)
    assert terms["rotation"].item() == pytest.approx(math.log(4))


def test_rotated_images_move_no_statistic() -> None:
    student = network("wrn")
    made = algorithm("crmatch", setup(student))
    given, twin = batch(type(made)), copy.deepcopy(student)
    made({**given, "all": Stream({"weak": images(5, seed=99)}, torch.arange(5))}, STEP)
    u = given["unlabeled"]
    twin(given["labeled"]["weak"])
    twin(torch.cat([u["weak"], u["strong"]]))
    for key, buffer in student.named_buffers():
        assert buffer.equal(dict(twin.named_buffers())[key]), key


def test_nothing_kept_still_learns_rotations() -> None:
    made = made_of("crmatch", 5, {"labeler.tau": 1.0})
    losses = made(drawn("crmatch", 3, 6, 5), STEP)
    losses.total.backward()
    assert losses.terms["unlabeled"] == losses.terms["distance"] == 0
    assert losses.terms["rotation"] > 0
    assert all(p.grad.isfinite().all() for p in made.parameters())


def test_images_to_be_rotated_are_a_stream_of_their_own() -> None:
    """As many as labelled images, of labelled and unlabelled ones, without labels."""
    made = job({"algo": "crmatch"})
    given = made.loader.batch(0, 0)
    assert {name: len(stream.index) for name, stream in given.items()} == {"labeled": 4, "unlabeled": 12, "all": 4}
    assert given["all"].label is None


@pytest.mark.parametrize("key", ["lambda_d", "lambda_r"])
def test_weights_below_zero_are_refused(key: str) -> None:
    with pytest.raises(UserError, match=rf"algo\.{key}"):
        made_of("crmatch", 5, {f"algo.{key}": -1.0})
