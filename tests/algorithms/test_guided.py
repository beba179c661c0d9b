"""Methods that learn predictions of other networks: against loops, by hand, and what must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sslkit.contracts import Batch
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from tests.algorithms.make import POOL, STEP, algorithm, batch, network, seen_as, setup
from tests.algorithms.tiny import CASES, Given, Terms, compare, drawn, labelled, log, made_of, mean, shown, softmax

NAN = float("nan")


def probabilities(n: int, classes: int, seed: int, networks: int = 3) -> Tensor:
    """(M, n, C); the first network has none of image 0, no network has any of image 1."""
    p = (2 * torch.randn(networks, n, classes, generator=torch.Generator().manual_seed(seed))).softmax(2)
    p[0, 0] = NAN
    p[:, 1] = NAN
    return p


def followed(name: str, classes: int, request: dict[str, Any] | None = None) -> tuple[Any, Tensor, Tensor]:
    made = made_of(name, classes, request, labeled=10)
    p_x, p_u = probabilities(10, classes, 1).double(), probabilities(POOL, classes, 2).double()
    made.follow(p_x, p_u)
    return made, p_x, p_u


def vote(p: Tensor, i: int) -> list[float] | None:
    """The share of networks whose likeliest class of image i is each; None where none has any."""
    said = [row[i].tolist() for row in p if not math.isnan(row[i][0].item())]
    classes = p.shape[2]
    return [sum(row.index(max(row)) == c for row in said) / len(said) for c in range(classes)] if said else None


def divergence(q: list[float], p: Tensor) -> Tensor:
    """sum_c q_c (log q_c - log p_c)."""
    return sum((q_c * (math.log(q_c) - p[c].log()) for c, q_c in enumerate(q) if q_c), p.sum() * 0)


def vpet(p_u: Tensor) -> Any:
    def oracle(made: Any, given: Batch, step: Step) -> Terms:
        u, terms = given["unlabeled"], {}
        for view in ("weak", "strong"):
            z = made.student(u[view]).logits
            qs = [vote(p_u, i) for i in u.index.tolist()]
            terms[view] = mean(
                [divergence(q, softmax(row)) if q else row.sum() * 0 for q, row in zip(qs, z, strict=True)]
            )
        return terms

    return oracle


def dho(p_x: Tensor, p_u: Tensor, a: float, b: float, t: float) -> Any:
    def warm(p: Tensor, i: int) -> list[float] | None:
        said = [row[i] for row in p if not math.isnan(row[i][0].item())]
        return softmax(mean(said).log() / t).tolist() if said else None

    def oracle(made: Any, given: Batch, step: Step) -> Terms:
        apart = []
        for stream, p in (("labeled", p_x), ("unlabeled", p_u)):
            features = made.student(given[stream]["weak"]).features
            rows = [softmax(made.student.added["distilled"](f) / t) for f in features]
            qs = [warm(p, i) for i in given[stream].index.tolist()]
            apart.append(mean([divergence(q, p_s) if q else p_s.sum() * 0 for q, p_s in zip(qs, rows, strict=True)]))
        return {"supervised": a * labelled(made, given), "distilled": b * t * t * (apart[0] + apart[1])}

    return oracle


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_vpet_is_the_loop(labeled: int, unlabeled: int, classes: int) -> None:
    made, _, p_u = followed("vpet", classes)
    losses = compare(made, vpet(p_u), drawn("vpet", labeled, unlabeled, classes), near=1e-6)
    assert losses.labels is not None
    assert losses.labels.weight.tolist() == [float(i != 1) for i in range(unlabeled)]
    assert losses.labels.target.sum(1).tolist() == pytest.approx([1.0] * unlabeled)


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_dho_is_the_loop(labeled: int, unlabeled: int, classes: int) -> None:
    request = {"algo.lambda_x": 0.7, "algo.lambda_kd": 0.3, "algo.temperature": 3.0}
    made, p_x, p_u = followed("dho", classes, request)
    compare(made, dho(p_x, p_u, 0.7, 0.3, 3.0), drawn("dho", labeled, unlabeled, classes), near=1e-5)


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_zeromatchs_own_term_is_the_loop(labeled: int, unlabeled: int, classes: int) -> None:
    made, p_x, p_u = followed("zeromatch", classes, {"algo.lambda_zero": 1.5})
    given = drawn("zeromatch", labeled, unlabeled, classes)
    step = replace(STEP, index=5)
    term = made(given, step).terms["zero_shot"]
    found = torch.autograd.grad(term, list(made.student.parameters()), allow_unused=True)
    losses: list[Tensor] = []
    for stream, p in (("labeled", p_x), ("unlabeled", p_u)):
        for image, i in zip(given[stream]["weak"], given[stream].index.tolist(), strict=True):
            q, head = vote(p, i), made.student.added["zero_shot"]
            own = softmax(head(made.student(image[None]).features)[0])
            losses.append(sum((-q_c * own[c].log() for c, q_c in enumerate(q or [])), own.sum() * 0))
    expected = 1.5 * 5 / STEP.total * mean(losses)
    torch.testing.assert_close(term, expected.to(term), rtol=1e-6, atol=1e-8)
    wanted = torch.autograd.grad(expected, list(made.student.parameters()), allow_unused=True)
    for mine, theirs in zip(found, wanted, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-8)


class Shown(Given):
    """`Given` with a head, which passes on what it sees."""

    head: nn.Linear

    def __init__(self) -> None:
        super().__init__(2)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(2))
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Output:
        seen = super().forward(images)
        return Output(self.head(seen.logits), seen.features)


def two(name: str, **request: Any) -> Any:
    """On images that show their probabilities, two classes; three networks vote 2 : 1, 3 : 0, and none for image 2."""
    student = Shown()
    made: Any = algorithm(name, setup(student, classes=2, labeled=3, unlabeled=3), request)
    p = torch.tensor(
        [
            [[0.9, 0.1], [0.2, 0.8], [NAN, NAN]],
            [[0.6, 0.4], [0.4, 0.6], [NAN, NAN]],
            [[0.3, 0.7], [0.1, 0.9], [NAN, NAN]],
        ]
    )
    made.follow(p, p)
    return made.double()


def test_vpet_by_hand() -> None:
    made = two("vpet")
    weak, strong = shown((0.5, 0.5), (0.25, 0.75), (0.1, 0.9)), shown((2 / 3, 1 / 3), (0.5, 0.5), (0.9, 0.1))
    given = batch(type(made), unlabeled=3)
    losses = made(seen_as(given, {"weak": weak, "strong": strong}), STEP)
    q = 2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)  # its negative entropy
    at_weak = (q + math.log(2) + math.log(4 / 3)) / 3
    at_strong = (0 + math.log(2)) / 3  # the first is predicted as it is voted
    assert losses.terms["weak"].item() == pytest.approx(at_weak)
    assert losses.terms["strong"].item() == pytest.approx(at_strong)
    assert made.of_unlabeled.tolist() == [[pytest.approx(2 / 3), pytest.approx(1 / 3)], [0, 1], [0, 0]]


def test_dho_by_hand() -> None:
    made = two("dho", **{"algo.temperature": 2.0})
    mean_0 = (0.6, 0.4)  # of 0.9, 0.6 and 0.3
    root = [math.sqrt(p) / (math.sqrt(0.6) + math.sqrt(0.4)) for p in mean_0]
    assert made.of_labeled[0].tolist() == pytest.approx(root)
    second = ((0.8 + 0.6 + 0.9) / 3, (0.2 + 0.4 + 0.1) / 3)
    same = shown(mean_0, second[::-1], (0.5, 0.5))  # what the networks predict, so that the second head is right
    x = {**batch(type(made), labeled=3, unlabeled=3)}
    x["labeled"] = replace(x["labeled"], views={"weak": same}, label=torch.tensor([0, 1, 1]))
    x["unlabeled"] = replace(x["unlabeled"], views={"weak": same})
    losses = made(x, STEP)
    assert losses.terms["distilled"].item() == pytest.approx(0, abs=1e-6), "student and teacher are equal"
    assert losses.terms["supervised"].item() == pytest.approx(
        -0.5 * (math.log(0.6) + math.log(second[0]) + math.log(0.5)) / 3
    )


def test_dho_at_test_time() -> None:
    made = two("dho", **{"algo.alpha": 0.25, "algo.beta": 0.5})
    with torch.no_grad():
        made.student.added["distilled"].weight.copy_(torch.eye(2).flip(0))
    seen = shown((0.8, 0.2))
    p = made.predict(made.student, seen).softmax(1)[0]
    sharp = 0.2**2 / (0.2**2 + 0.8**2)  # 1 / beta is 2
    assert p[0].item() == pytest.approx(0.25 * 0.8 + 0.75 * sharp)
    made.alpha = 1.0
    torch.testing.assert_close(made.predict(made.student, seen).softmax(1), made.student(seen).p)
    made.alpha = 0.0
    assert made.predict(made.student, seen).softmax(1)[0, 0].item() == pytest.approx(sharp)


def test_alpha_and_beta_do_not_enter_training() -> None:
    first, second = (algorithm("dho", setup(), {"algo.alpha": a, "algo.beta": 4 * a + 0.1}) for a in (0.1, 0.9))
    given = batch(type(first))
    assert first(given, STEP).total.equal(second(given, STEP).total)


def test_the_vote_knows_no_order_and_one_vote_is_hard() -> None:
    made, p = two("vpet"), probabilities(3, 2, seed=4)
    torch.testing.assert_close(made.agreed(p), made.agreed(p.flip(0)))
    assert made.agreed(p[1:2])[0].tolist() in ([0, 1], [1, 0])
    unanimous = torch.tensor([[[0.6, 0.4]], [[0.9, 0.1]]])
    assert made.agreed(unanimous).tolist() == [[1, 0]]


def test_hard_votes_are_the_cross_entropy_of_both_views() -> None:
    made = made_of("vpet", 5)
    hard = torch.eye(5)[torch.arange(POOL) % 5][None]
    made.follow(hard[:, :10], hard)
    given = drawn("vpet", 1, 6, 5)
    for view, term in made(given, STEP).terms.items():
        z = made.student(given["unlabeled"][view]).logits
        torch.testing.assert_close(term, mean([log(softmax(row), i % 5) for i, row in enumerate(z)]).to(term))


@pytest.mark.parametrize("backbone", ["vit", "wrn"])
def test_without_its_term_zeromatch_is_adamatch_to_the_bit(backbone: str) -> None:
    ended = []
    for name, request in (("zeromatch", {"algo.lambda_zero": 0.0}), ("adamatch", {})):
        made: Any = algorithm(name, setup(network(backbone)), request)
        for index in range(3):
            made.zero_grad()
            losses = made(batch(type(made), seed=index), replace(STEP, index=index))
            losses.total.backward()
            with torch.no_grad():
                for p in made.student.parameters():
                    p.sub_(0.1 * (p.grad if p.grad is not None else 0))
            made.after_step([losses], STEP)
        ended.append(made.state_dict())
    assert all(tensor.equal(ended[0][name]) for name, tensor in ended[1].items())


@pytest.mark.parametrize("name", ["vpet", "dho", "zeromatch"])
def test_without_a_prediction_images_add_nothing(name: str) -> None:
    made: Any = algorithm(name, setup())
    none = torch.full((2, POOL, 5), NAN)
    made.follow(none[:, :10], none)
    losses = made(batch(type(made)), STEP)
    for term in {"weak", "strong", "distilled", "zero_shot"} & losses.terms.keys():
        assert losses.terms[term].item() == 0
    losses.total.backward()
    assert all(p.grad.isfinite().all() for p in made.student.parameters() if p.grad is not None)
    if name != "zeromatch":
        assert losses.labels.weight.sum() == 0


def test_the_fresh_head_is_no_copy_and_the_second_head_of_dho_is() -> None:
    for name, head, same in (("zeromatch", "zero_shot", False), ("dho", "distilled", True)):
        made = algorithm(name, setup())
        mine = next(made.student.added[head].parameters())
        assert mine.equal(made.student.classifier().weight) is same


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("dho", "temperature", 0.0), ("dho", "beta", 0.0), ("dho", "alpha", 1.1), ("zeromatch", "lambda_zero", -1.0)],
)
def test_options_out_of_range(name: str, key: str, value: float) -> None:
    with pytest.raises(UserError, match=f"algo.{key}"):
        algorithm(name, setup(), {f"algo.{key}": value})
