"""What members of FixMatch's family add to it: fairness, annealing, rejected images, a rising weight."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.contracts import PseudoLabels, Stream
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from tests.algorithms import reference
from tests.algorithms.make import CLASSES, STEP, algorithm, batch, built_in, network, setup
from tests.algorithms.reference import Row


def output(logits: Tensor) -> Output:
    return Output(logits, torch.zeros(len(logits), 2))


def of(rows: list[Row]) -> Output:
    """Float64 outputs of these probabilities, with a gradient."""
    return output(torch.tensor(rows, dtype=torch.float64).log().requires_grad_())


def drawn(n: int, seed: int, classes: int = CLASSES) -> Output:
    generator = torch.Generator().manual_seed(seed)
    return output((2 * torch.randn(n, classes, generator=generator, dtype=torch.float64)).requires_grad_())


def weights(*values: float, classes: int = CLASSES) -> PseudoLabels:
    w = torch.tensor(values, dtype=torch.float64)
    return PseudoLabels(torch.eye(classes)[torch.zeros(len(w), dtype=torch.long)], w, w)


def extra(made: Any, weak: Output, strong: Output, labels: PseudoLabels, step: Step = STEP) -> dict[str, Tensor]:
    found: dict[str, Tensor] = made.extra(weak, weak.detach(), strong, labels, {}, step)
    return found


def fairness(mean: Row, shares: Row, strong: list[Row], weight: list[float]) -> float:
    """The loop."""
    kept = [p for p, w in zip(strong, weight, strict=True) if w]
    if not kept:
        return 0.0
    classes = len(mean)
    their = [sum(p[c] for p in kept) / len(kept) for c in range(classes)]
    guesses = [reference.guess(p)[0] for p in kept]
    hist = [guesses.count(c) / len(kept) for c in range(classes)]
    a = [m / s if s else 0.0 for m, s in zip(mean, shares, strict=True)]
    b = [m / s if s else 0.0 for m, s in zip(their, hist, strict=True)]
    return sum(x / sum(a) * math.log(y / sum(b) + 1e-12) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_fairness_is_the_loop(seed: int) -> None:
    made: Any = algorithm("freematch", setup(), {"algo.lambda_f": 0.5})
    generator = torch.Generator().manual_seed(seed)
    mean, shares = (torch.rand(CLASSES, generator=generator).softmax(0) for _ in range(2))
    made.labeler.mean.copy_(mean)
    made.labeler.shares.copy_(shares)
    strong, weight = drawn(8, seed), [1.0, 0, 1, 1, 0, 1, 1, 0]
    found = extra(made, drawn(8, 9), strong, weights(*weight))["fairness"]
    expected = fairness(mean.tolist(), shares.tolist(), strong.p.tolist(), weight)
    assert found.item() == pytest.approx(0.5 * expected, rel=1e-5)


def test_fairness_by_hand() -> None:
    """Two kept images, of classes 0 and 1, with the mean (0.5, 0.3, 0.2) and shares (1/2, 1/2, 0): b is (5/8, 3/8, 0).

    The labeler's a is (1/2, 1/2, 0): the third class was never predicted.
    """
    made: Any = algorithm("freematch", setup(classes=3), {"algo.lambda_f": 1.0})
    made.labeler.mean.copy_(torch.tensor([0.4, 0.4, 0.2]))
    made.labeler.shares.copy_(torch.tensor([0.5, 0.5, 0.0]))
    strong = of([[0.7, 0.1, 0.2], [0.3, 0.5, 0.2], [0.1, 0.1, 0.8]])
    found = extra(made, strong, strong, weights(1, 1, 0, classes=3))["fairness"]
    assert found.item() == pytest.approx(0.5 * math.log(5 / 8) + 0.5 * math.log(3 / 8), rel=1e-5)
    found.backward()
    assert strong.logits.grad is not None
    assert (strong.logits.grad[2] == 0).all()


def test_fairness_of_nothing_is_nothing() -> None:
    made: Any = algorithm("freematch", setup())
    strong = drawn(3, 0)
    found = extra(made, strong, strong, weights(0, 0, 0))["fairness"]
    found.backward()
    assert found.item() == 0
    assert strong.logits.grad is not None
    assert strong.logits.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_rejected_images_count_by_their_sharpened_predictions(temperature: float) -> None:
    request = {"algo.temperature": temperature, "algo.lambda_u": 2.0}
    made: Any = algorithm("refixmatch", setup(), request)
    weak, strong, weight = drawn(5, 1), drawn(5, 2), [1.0, 0, 0, 1, 0]
    found = extra(made, weak, strong, weights(*weight))["rejected"]
    total = 0.0
    for p, q, w in zip(weak.p.tolist(), strong.p.tolist(), weight, strict=True):
        sharp = [x ** (1 / temperature) for x in p]
        sharp = [x / sum(sharp) for x in sharp]
        total += (1 - w) * sum(a * math.log(a / b) for a, b in zip(sharp, q, strict=True))
    assert found.item() == pytest.approx(2 * total / 5, rel=1e-6)
    found.backward()
    assert weak.logits.grad is None, "the target is detached"


def test_refixmatch_by_hand() -> None:
    """At temperature 1/2 (1/3, 2/3) is (1/5, 4/5); from an even student that is apart ln 2 less its entropy."""
    made: Any = algorithm("refixmatch", setup(classes=2))
    weak = of([[1 / 3, 2 / 3], [0.5, 0.5], [0.99, 0.01]])
    strong = of([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    entropy = -(0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    found = extra(made, weak, strong, weights(0, 0, 1, classes=2))["rejected"]
    assert found.item() == pytest.approx((math.log(2) - entropy) / 3, rel=1e-9)


@pytest.mark.parametrize("annealing", ["none", "linear", "exp", "log"])
@pytest.mark.parametrize("index", [0, 5, 19])
def test_training_signal_annealing_is_the_loop(annealing: str, index: int) -> None:
    made: Any = algorithm("uda", setup(), {"algo.annealing": annealing})
    out, y = drawn(9, index), torch.arange(9) % CLASSES
    t = index / 20
    a = {"none": math.inf, "linear": t, "exp": math.exp(5 * (t - 1)), "log": 1 - math.exp(-5 * t)}[annealing]
    limit = a * (1 - 1 / CLASSES) + 1 / CLASSES
    losses = [-math.log(p[i % CLASSES]) for i, p in enumerate(out.p.tolist()) if p[i % CLASSES] <= limit]
    found = made.supervised(out, y, Step(index, 20, 0))
    assert found.item() == pytest.approx(sum(losses) / max(1, len(losses)), rel=1e-6)
    rows = torch.eye(CLASSES, dtype=torch.float64)[y]
    assert made.supervised(out, rows, Step(index, 20, 0)).item() == pytest.approx(found.item(), rel=1e-6)
    found.backward()


def test_annealing_by_hand() -> None:
    """Half-way, linear, of three classes: the limit is 2/3. 0.7 is dropped, 0.5 and 0.1 are the mean of two."""
    made: Any = algorithm("uda", setup(classes=3), {"algo.annealing": "linear"})
    out = of([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    found = made.supervised(out, torch.tensor([0, 1, 1]), Step(10, 20, 0))
    assert found.item() == pytest.approx(-(math.log(0.5) + math.log(0.1)) / 2, rel=1e-9)


@pytest.mark.parametrize(("index", "share"), [(0, 0.0), (5, 0.5), (10, 1.0), (19, 1.0)])
def test_adamatchs_weight_rises_by_half_a_cosine(index: int, share: float) -> None:
    made: Any = algorithm("adamatch", setup(), {"algo.lambda_u": 3.0})
    assert made.strength(Step(index, 20, 0)) == pytest.approx(3 * share)


@pytest.mark.parametrize("tau", [0.0, 0.5])
@pytest.mark.parametrize("backbone", ["vit", "wrn"])
def test_defixmatch_is_the_loop(backbone: str, tau: float) -> None:
    made: Any = algorithm("defixmatch", setup(network(backbone)), {"labeler.tau": tau})
    given = batch(type(made), labeled=7, unlabeled=8)
    terms = {name: term.item() for name, term in made(given, STEP).terms.items()}
    x, u = given["labeled"], given["unlabeled"]
    views = [x["weak"], x["strong"], u["weak"], u["strong"]]
    p_x, q_x, p_u, q_u = (made.student(view).p.tolist() for view in views)
    y = x.y.tolist()

    def kept(weak: list[Row], strong: list[Row]) -> float:
        guesses = [reference.guess(p) for p in weak]
        lost = [-math.log(q[c]) if o >= tau else 0.0 for (c, o), q in zip(guesses, strong, strict=True)]
        return sum(lost) / len(lost)

    def given_label(rows: list[Row]) -> float:
        return -sum(math.log(p[c]) for p, c in zip(rows, y, strict=True)) / len(y)

    expected = {"supervised": given_label(p_x) / 2, "supervised strong": given_label(q_x) / 2}
    expected |= {"unlabeled": 0.5 * kept(p_u, q_u), "bias": -0.5 * kept(p_x, q_x)}
    assert terms == pytest.approx({name: expected[name] for name in terms}, rel=1e-4)
    assert terms.keys() == expected.keys()


def test_defixmatch_on_the_labelled_images_is_supervised() -> None:
    """By hand: where the pool is the labelled images, what pseudo-labels give is taken away again."""
    made: Any = algorithm("defixmatch", setup(), {"algo.lambda_u": 7.0, "labeler.tau": 0.4})
    x = batch(type(made), labeled=6)["labeled"]
    losses = made({"labeled": x, "unlabeled": Stream(x.views, x.index)}, STEP)
    alone = losses.terms["supervised"] + losses.terms["supervised strong"]
    assert losses.terms["unlabeled"].item() > 0
    assert losses.total.item() == pytest.approx(alone.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["freematch", "refixmatch", "defixmatch"])
@pytest.mark.parametrize("mixer", [name for name in built_in("mixer") if name != "none"])
def test_what_compares_views_of_one_image_refuses_mixers(name: str, mixer: str) -> None:
    with pytest.raises(UserError, match="it needs --mixer none"):
        algorithm(name, setup(), {"mixer": mixer})


@pytest.mark.parametrize("name", ["freematch", "refixmatch"])
def test_what_compares_views_sees_rejected_images(name: str) -> None:
    plain, skipping = (algorithm(name, setup(skip_rejected=skip), {"labeler.tau": 0.5}) for skip in (False, True))
    given = batch(type(plain), unlabeled=9)
    for term, value in plain(given, STEP).terms.items():
        assert skipping(given, STEP).terms[term].item() == pytest.approx(value.item(), rel=1e-6)


def test_fairness_needs_its_own_thresholds() -> None:
    with pytest.raises(UserError, match="--labeler freematch"):
        algorithm("freematch", setup(), {"labeler": "threshold"})
