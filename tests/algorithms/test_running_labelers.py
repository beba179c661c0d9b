"""Labelers that learn from what they see: against loops in plain floats, and against examples worked by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sslkit.contracts import PseudoLabels, Stream
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from tests.algorithms import reference
from tests.algorithms.make import CLASSES, part, setup
from tests.algorithms.reference import Row

M = 0.8  # momentum
THREE = [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]  # probabilities of three images


def output(rows: list[Row]) -> Output:
    """Float64 outputs of these probabilities."""
    return Output(torch.tensor(rows, dtype=torch.float64).log(), torch.zeros(len(rows), 2))


def drawn(n: int, seed: int, classes: int = CLASSES) -> list[Row]:
    logits = 2 * torch.randn(n, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return [reference.softmax(row) for row in logits.tolist()]


def ask(labeler: Any, weak: list[Row], labeled: list[Row], step: Step) -> PseudoLabels:
    stream = Stream({}, torch.arange(len(labeled)), torch.arange(len(labeled)) % len(labeled[0]))
    found: PseudoLabels = labeler.label(output(weak), output(labeled), {"labeled": stream}, step)
    return found


def steps(n: int = 12) -> list[Step]:
    return [Step(i, n, 0) for i in range(n)]


class Aligned:
    """The loop of distribution alignment."""

    def __init__(self, goal: Row, moves: bool) -> None:
        self.goal, self.mean, self.moves, self.begun = goal, goal, moves, False

    def __call__(self, p: Row) -> Row:
        q = [x * (g + 1e-6) / (m + 1e-6) for x, g, m in zip(p, self.goal, self.mean, strict=True)]
        return [x / sum(q) for x in q]

    def update(self, weak: list[Row], labeled: list[Row]) -> None:
        self.mean = self.mixed(self.mean, weak) if self.begun else self.of(weak)
        self.begun = True
        if self.moves:
            self.goal = self.mixed(self.goal, labeled)

    def of(self, rows: list[Row]) -> Row:
        return [sum(column) / len(rows) for column in zip(*rows, strict=True)]

    def mixed(self, old: Row, rows: list[Row]) -> Row:
        return [M * a + (1 - M) * b for a, b in zip(old, self.of(rows), strict=True)]


def even(classes: int = CLASSES) -> Row:
    return [1 / classes] * classes


@pytest.mark.parametrize("align", [True, False])
def test_softmatch_is_the_loop(align: bool) -> None:
    labeler = part("labeler", "softmatch", setup(), momentum=M, n=1.5, align=align).double()
    loop, mu, variance = Aligned(even(), moves=False), 1 / CLASSES, 1.0
    weights = []
    for step in steps():
        weak, labeled = drawn(6, step.index), drawn(3, 100 + step.index)
        found = ask(labeler, weak, labeled, step)
        tops = [max(loop(p) if align else p) for p in weak]
        expected = [math.exp(-(1.5**2) * min(o - mu, 0) ** 2 / (2 * variance)) for o in tops]
        assert found.weight.tolist() == pytest.approx(expected, rel=1e-6)
        assert found.confidence.tolist() == pytest.approx(tops, rel=1e-6)
        assert found.target.argmax(1).tolist() == [reference.guess(p)[0] for p in weak]
        labeler.update(found, torch.arange(6), step)
        mean = sum(tops) / 6
        mu = M * mu + (1 - M) * mean
        variance = M * variance + (1 - M) * sum((o - mean) ** 2 for o in tops) / 5
        loop.update(weak, labeled)
        weights += expected
    assert min(weights) < 0.9
    assert max(weights) == 1


def test_softmatch_by_hand() -> None:
    """mu 0.6, variance 0.01, n 2: of confidences 0.7, 0.5, 0.8 the second lies one deviation below, exp(-2)."""
    labeler = part("labeler", "softmatch", setup(classes=3, class_counts=torch.ones(3)), align=False)
    labeler.mu.fill_(0.6)
    labeler.variance.fill_(0.01)
    found = ask(labeler, THREE, THREE, Step(1, 9, 0))
    assert found.weight.tolist() == pytest.approx([1.0, math.exp(-2), 1.0], rel=1e-5)


def test_softmatch_of_large_n_is_a_threshold() -> None:
    labeler = part("labeler", "softmatch", setup(classes=3), align=False, n=1e3)
    labeler.mu.fill_(0.6)
    assert ask(labeler, THREE, THREE, Step(1, 9, 0)).weight.tolist() == [1.0, 0.0, 1.0]


def test_freematch_is_the_loop() -> None:
    labeler = part("labeler", "freematch", setup(), momentum=M).double()
    tau, mean, shares = 1 / CLASSES, even(), even()
    kept = []
    for step in steps():
        weak = drawn(6, step.index)
        found = ask(labeler, weak, drawn(3, 9), step)
        guesses = [reference.guess(p) for p in weak]
        expected = [float(o >= tau * mean[y] / max(mean)) for y, o in guesses]
        assert found.weight.tolist() == expected
        labeler.update(found, torch.arange(6), step)
        tau = M * tau + (1 - M) * sum(o for _, o in guesses) / 6
        mean = [M * a + (1 - M) * sum(p[c] for p in weak) / 6 for c, a in enumerate(mean)]
        shares = [M * a + (1 - M) * sum(y == c for y, _ in guesses) / 6 for c, a in enumerate(shares)]
        assert labeler.shares.tolist() == pytest.approx(shares, rel=1e-6)
        assert labeler.thresholds().tolist() == pytest.approx([tau * m / max(mean) for m in mean], rel=1e-6)
        kept += expected
    assert {*kept} == {0.0, 1.0}


def test_freematch_by_hand() -> None:
    """tau 0.6 and means (0.5, 0.4, 0.1): thresholds (0.6, 0.48, 0.12), which 0.7, 0.5 and 0.8 pass.

    At tau 0.75 they are (0.75, 0.6, 0.15): the first and the second miss.
    """
    labeler = part("labeler", "freematch", setup(classes=3))
    labeler.mean.copy_(torch.tensor([0.5, 0.4, 0.1]))
    for tau, expected in ((0.6, [1.0, 1.0, 1.0]), (0.75, [0.0, 0.0, 1.0])):
        labeler.tau.fill_(tau)
        assert ask(labeler, THREE, THREE, Step(1, 9, 0)).weight.tolist() == expected


def test_freematch_keeps_nearly_all_at_first() -> None:
    assert part("labeler", "freematch", setup()).thresholds().tolist() == pytest.approx(even())


@pytest.mark.parametrize(
    ("align", "goal"), [("model", even()), ("prior", [0.4, 0.3, 0.1, 0.1, 0.1]), ("uniform", even())]
)
def test_adamatch_is_the_loop(align: str, goal: Row) -> None:
    counts = torch.tensor([4, 3, 1, 1, 1])
    labeler = part("labeler", "adamatch", setup(class_counts=counts), momentum=M, align=align, tau=1.0).double()
    loop = Aligned(goal, moves=align == "model")
    kept = []
    for step in steps():
        weak, labeled = drawn(6, step.index), drawn(3, 100 + step.index)
        found = ask(labeler, weak, labeled, step)
        guesses = [reference.guess(loop(p)) for p in weak]
        limit = sum(max(p) for p in labeled) / 3
        expected = [float(o >= limit) for _, o in guesses]
        assert found.weight.tolist() == expected
        assert found.confidence.tolist() == pytest.approx([o for _, o in guesses], rel=1e-6)
        assert found.target.argmax(1).tolist() == [y for y, _ in guesses]
        labeler.update(found, torch.arange(6), step)
        loop.update(weak, labeled)
        kept += expected
    assert {*kept} == {0.0, 1.0}


def test_adamatch_by_hand() -> None:
    """Means (0.6, 0.3, 0.1) become even: (0.7, 0.2, 0.1) is 7/6 : 2/3 : 1, and 0.4118, of the first class, is left.

    0.9 of the labelled images' 0.45 is 0.405: it is kept, at 0.95 it is not.
    """
    for tau, expected in ((0.9, 1.0), (0.95, 0.0)):
        labeler = part("labeler", "adamatch", setup(classes=3), align="uniform", tau=tau)
        labeler.align.mean.copy_(torch.tensor([0.6, 0.3, 0.1]))
        found = ask(labeler, THREE, [[0.45, 0.35, 0.2]], Step(1, 9, 0))
        assert found.confidence[0].item() == pytest.approx((7 / 6) / (7 / 6 + 2 / 3 + 1), abs=1e-5)
        assert found.weight[0].item() == expected


def test_alignment_moves_nothing_before_the_first_step() -> None:
    found = ask(
        part("labeler", "adamatch", setup(classes=3, class_counts=torch.tensor([3, 2, 1])), align="prior"),
        THREE,
        THREE,
        Step(0, 9, 0),
    )
    assert found.confidence.tolist() == pytest.approx([0.7, 0.5, 0.8], rel=1e-5)


@pytest.mark.parametrize("temperature", [0.4, 1.0])
def test_sharpened_is_the_loop(temperature: float) -> None:
    labeler = part("labeler", "sharpened", setup(), tau=0.6, temperature=temperature)
    weak = drawn(20, 0)
    found = ask(labeler, weak, weak, Step(0, 9, 0))
    for i, p in enumerate(weak):
        sharp = [x ** (1 / temperature) for x in p]
        assert found.target[i].tolist() == pytest.approx([x / sum(sharp) for x in sharp], rel=1e-6)
        assert found.weight[i].item() == float(max(p) >= 0.6), "of the prediction before it is sharpened"
    assert 0 < found.weight.sum() < 20


def test_sharpened_by_hand() -> None:
    """At temperature 1/2 (0.2, 0.5, 0.3) is (0.04, 0.25, 0.09) / 0.38."""
    found = ask(part("labeler", "sharpened", setup(classes=3), temperature=0.5), THREE, THREE, Step(0, 9, 0))
    assert found.target[1].tolist() == pytest.approx([0.04 / 0.38, 0.25 / 0.38, 0.09 / 0.38], rel=1e-6)
    assert found.weight.tolist() == [0.0, 0.0, 1.0]


def test_dash_is_the_loop() -> None:
    """Over a run of 60 steps the threshold falls from the labelled loss to the least, and soft labels become hard."""
    labeler = part("labeler", "dash", setup(steps=60), warmup=0.1, least=0.4).double()
    first, kept, hard = 0.0, [], []
    for step in steps(60):
        weak, labeled = drawn(6, step.index), drawn(3, 100 + step.index)
        found = ask(labeler, weak, labeled, step)
        rho = max(1.0001 * 1.27 ** -math.floor((step.index - 6) / 60 * 102.4) * first, 0.4)
        for i, p in enumerate(weak):
            sharp = [x**2 for x in p]
            q = (
                [x / sum(sharp) for x in sharp]
                if rho > 0.4
                else [float(c == reference.guess(p)[0]) for c in range(CLASSES)]
            )
            assert found.target[i].tolist() == pytest.approx(q, rel=1e-6, abs=1e-12)
            loss = -sum(a * math.log(b) for a, b in zip(q, p, strict=True))
            assert found.weight[i].item() == float(step.index >= 6 and loss <= rho)
        labeler.update(found, torch.arange(6), step)
        if step.index < 6:
            assert not found.weight.any()
            first += sum(-math.log(p[i]) for i, p in enumerate(labeled)) / 3 / 6
        else:
            kept += found.weight.tolist()
            hard.append(rho == 0.4)
    assert {*kept} == {0.0, 1.0}
    assert {*hard} == {False, True}


def test_dash_at_the_least_is_fixmatch() -> None:
    labeler = part("labeler", "dash", setup(classes=3))  # nothing was learned: the threshold is 0.05
    limit = math.exp(-0.05)
    rows = [[limit + 1e-6, 1 - limit - 2e-6, 1e-6], [limit - 1e-6, 1 - limit, 1e-6], [1e-6, 1e-6, 1 - 2e-6]]
    assert ask(labeler, rows, rows, Step(8, 9, 0)).weight.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("softmatch", {"n": -1.0}, "labeler.n"),
        ("softmatch", {"momentum": 1.0}, "labeler.momentum"),
        ("freematch", {"smoothing": 1.0}, "labeler.smoothing"),
        ("adamatch", {"tau": 1.5}, "labeler.tau"),
        ("sharpened", {"temperature": 0.0}, "labeler.temperature"),
        ("dash", {"gamma": 1.0}, "labeler.gamma"),
    ],
)
def test_options_out_of_range_are_refused(name: str, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        part("labeler", name, setup(), **wrong)


@pytest.mark.parametrize("name", ["softmatch", "freematch", "adamatch", "dash"])
@pytest.mark.parametrize("classes", [2, 100])
def test_one_image_and_many_classes(name: str, classes: int) -> None:
    labeler = part("labeler", name, setup(classes=classes, class_counts=torch.ones(classes))).double()
    for step in steps(4):
        found = ask(labeler, drawn(1, step.index, classes), drawn(1, 50, classes), step)
        labeler.update(found, torch.tensor([0]), step)
    assert all(value.isfinite().all() for value in labeler.state_dict().values())
    assert found.weight.isfinite().all()
