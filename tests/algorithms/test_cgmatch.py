"""CGMatch against its equations as loops, an example by hand, and what must hold."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.contracts import Batch, Stream
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from tests.algorithms.make import POOL, STEP, algorithm, part, setup
from tests.algorithms.tiny import (
    CASES,
    Given,
    Terms,
    compare,
    drawn,
    labelled,
    made_of,
    mean,
    shown,
    softmax,
)

M = 0.8  # momentum


def gap(labels: list[int]) -> int:
    first, second = [*sorted(Counter(labels).values(), reverse=True), 0, 0][:2]
    return first - second


def aligned(p: Tensor, running: Tensor) -> Tensor:
    q = p * (1 / len(p) + 1e-6) / (running + 1e-6)
    return q / q.sum()


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u, labeler = given["unlabeled"], made.labeler
    weak, strong = made.student(u["weak"]).logits, made.student(u["strong"]).logits
    confident, ambiguous, zero = [], [], torch.zeros((), dtype=torch.float64)
    for i, a, b in zip(u.index.tolist(), weak, strong, strict=True):
        q = aligned(softmax(a).detach(), labeler.align.mean)
        y = int(q.argmax())
        easy = q.max() >= labeler.mean
        past = [c for c in labeler.labels[i].tolist() if c < labeler.classes]
        agree = not easy and gap(past) >= labeler.gap
        confident.append(-softmax(b)[y].log() if easy else zero)
        ambiguous.append(sum((1 - softmax(z)[y] ** 0.7) / 0.7 for z in (a, b)) if agree else zero)
    warm = made.burn_in * step.total
    on = step.index >= warm
    share = (step.index - warm) / (step.total - warm) if on else 0.0
    return {
        "supervised": labelled(made, given),
        "unlabeled": made.lambda_u * on * mean(confident),
        "ambiguous": made.lambda_h * share**2 * mean(ambiguous),
    }


def filled(classes: int, level: float, request: dict[str, Any] | None = None) -> Any:
    made = made_of("cgmatch", classes, {"labeler.queue": 9, **(request or {})})
    generator = torch.Generator().manual_seed(3)
    made.labeler.labels.copy_(torch.randint(0, classes + 1, (POOL, 9), generator=generator) % min(classes + 1, 4))
    made.labeler.mean.fill_(level)
    made.labeler.gap.fill_(1.5)
    made.labeler.align.mean.copy_(torch.linspace(1, 2, classes) / torch.linspace(1, 2, classes).sum())
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("level", [0.0, 0.6, 1.1])
@pytest.mark.parametrize("burn_in", [0.0, 0.1, 0.5])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, level: float, burn_in: float) -> None:
    made = filled(classes, level, {"algo.lambda_u": 0.7, "algo.lambda_h": 3.0, "algo.burn_in": burn_in})
    losses = compare(made, loops, drawn("cgmatch", labeled, unlabeled, classes), near=1e-7)
    assert level > 0 or losses.terms["ambiguous"] == 0
    assert burn_in < 0.5 or losses.terms["unlabeled"] == losses.terms["ambiguous"] == 0


def test_by_hand() -> None:
    """Mean 0.7: the first image is confident, the second and third are not; gaps 1 - 0 and 2 - 2, of mean 1.

    At step 3 of 20 without burn-in the weight is 0.0225. G of 0.6 and of 0.25.
    """
    made: Any = algorithm("cgmatch", setup(Given(3), classes=3, unlabeled=3), {"algo.burn_in": 0.0, "labeler.queue": 4})
    made.labeler.mean.fill_(0.7)
    made.labeler.gap.fill_(1.0)
    made.labeler.labels.copy_(torch.tensor([[0, 1, 3, 3], [2, 3, 3, 3], [0, 1, 1, 0]]))
    weak = shown((0.8, 0.1, 0.1), (0.2, 0.6, 0.2), (0.5, 0.25, 0.25))
    strong = shown((0.4, 0.3, 0.3), (0.5, 0.25, 0.25), (0.1, 0.1, 0.8))
    x = Stream({"weak": weak[:1]}, torch.arange(1), torch.tensor([0]))
    made.double()
    terms = made({"labeled": x, "unlabeled": Stream({"weak": weak, "strong": strong}, torch.arange(3))}, STEP).terms
    assert terms["unlabeled"].item() == pytest.approx(-math.log(0.4) / 3)
    expected = 0.0225 * ((1 - 0.6**0.7) / 0.7 + (1 - 0.25**0.7) / 0.7) / 3
    assert terms["ambiguous"].item() == pytest.approx(expected)


def output(n: int, seed: int, classes: int = 5) -> Output:
    logits = 2 * torch.randn(n, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Output(logits, torch.zeros(n, 2))


def test_the_labeler_is_the_loop() -> None:
    """Over twelve steps, with images that come again, and twice in a batch; queues of three labels."""
    labeler = part("labeler", "cgmatch", setup(), queue=3, momentum=M).double()
    level, mean_gap, running = 1 / 5, 0.0, torch.full((5,), 0.2).double()
    past: dict[int, list[int]] = {i: [] for i in range(POOL)}
    seen = []
    for n in range(12):
        step, weak = Step(n, 12, 0), output(6, n)
        index = [(n + i) % 4 for i in range(5)] + [7]
        batch = {"unlabeled": Stream({}, torch.tensor(index))}
        found = labeler.label(weak, weak, batch, step)
        qs = [aligned(p, running if n else torch.full((5,), 0.2)) for p in weak.p]
        gaps = [gap(past[i]) for i in index]
        easy = [float(q.max() >= level) for q in qs]
        assert found.weight.tolist() == easy
        assert found.memory["gap"].tolist() == gaps
        agree = [float(g >= mean_gap and not e) for g, e in zip(gaps, easy, strict=True)]
        assert found.memory["ambiguous"].tolist() == agree
        labeler.update(found, torch.tensor(index), step)
        level = M * level + (1 - M) * sum(q.max().item() for q in qs) / 6
        mean_gap = sum(gaps) / 6 if n == 0 else M * mean_gap + (1 - M) * sum(gaps) / 6
        running = weak.p.mean(0) if n == 0 else M * running + (1 - M) * weak.p.mean(0)
        for i, y in {i: int(q.argmax()) for i, q in zip(index, qs, strict=True)}.items():
            past[i] = [*past[i], y][-3:]
        seen += [*zip(easy, agree, strict=True)]
        assert labeler.mean.item() == pytest.approx(level)
        assert labeler.gap.item() == pytest.approx(mean_gap)
    assert {*seen} == {(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)}


def test_labels_that_never_change_have_the_gap_of_their_number() -> None:
    labeler = part("labeler", "cgmatch", setup(), queue=7).double()
    weak, batch = output(3, 0), {"unlabeled": Stream({}, torch.arange(3))}
    for n in range(10):
        labeler.align.mean.fill_(0.2)
        labeler.update(labeler.label(weak, weak, batch, STEP), torch.arange(3), Step(n + 1, 20, 0))
        assert labeler.gaps(torch.arange(4)).tolist() == [min(n + 1, 7)] * 3 + [0]


def test_the_gradient_goes_through_both_views() -> None:
    made = filled(5, 1.1)
    made.labeler.gap.fill_(0.0)
    given = drawn("cgmatch", 3, 6, 5)
    u = given["unlabeled"]
    views = {name: view.clone().requires_grad_() for name, view in u.views.items()}
    made({**given, "unlabeled": Stream(views, u.index)}, STEP).terms["ambiguous"].backward()
    assert all(view.grad is not None and view.grad.flatten(1).any(1).all() for view in views.values())


def test_certain_and_wrong_is_finite() -> None:
    made: Any = algorithm("cgmatch", setup(Given(2), classes=2), {"algo.burn_in": 0.0})
    made.labeler.mean.fill_(1.1)
    far = torch.tensor([[400.0, 0.0], [0.0, 400.0]])[:, :, None, None].double()
    x = Stream({"weak": far[:1]}, torch.arange(1), torch.tensor([0]))
    losses = made({"labeled": x, "unlabeled": Stream({"weak": far, "strong": far.flip(0)}, torch.arange(2))}, STEP)
    losses.total.backward()
    assert made.student.scale.grad.isfinite()
    assert losses.terms["ambiguous"].item() == pytest.approx(0.0225 / 0.7)


def test_what_is_out_of_range_or_of_another_labeler_is_refused() -> None:
    for wrong in ({"algo.lambda_h": -1.0}, {"algo.burn_in": 1.1}, {"labeler.queue": 0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            made_of("cgmatch", 5, wrong)
    with pytest.raises(UserError, match="--labeler cgmatch"):
        made_of("cgmatch", 5, {"labeler": "threshold"})
