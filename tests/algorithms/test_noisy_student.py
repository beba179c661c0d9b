"""Noisy Student: labels and weights against loops, an example by hand, and what must hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.contracts import Batch
from sslkit.errors import UserError
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.training.engine import Engine
from tests.algorithms.make import POOL, STEP, Trainer, job
from tests.algorithms.tiny import CASES, Terms, Tiny, compare, drawn, entropy, labelled, made_of, mean, softmax

NAME = "noisy_student"


class Shown(Trainer):
    """Has logits for the whole pool, and what others predict for it."""

    others: Tensor | None = None  # (M, N_u, C)

    def __init__(self, made: Any, logits: Tensor) -> None:
        super().__init__(made)
        self.logits = logits

    def encode(self, network: Classifier, stream: str) -> Output:
        made: Any = self.made
        assert (stream, network) == ("unlabeled", made.average.network)
        return Output(self.logits, self.logits)

    def given(self, stream: str) -> Tensor:
        if self.others is None:
            return super().given(stream)
        return self.others if stream == "unlabeled" else self.others[:, :3]


def started(classes: int, logits: Tensor, request: dict[str, Any] | None = None) -> Any:
    made = made_of(NAME, classes, request, unlabeled=len(logits))
    made.start(Shown(made, logits))
    return made


def random_logits(classes: int, n: int = POOL) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    bias = torch.linspace(0, 2, classes)  # some classes are predicted more often
    return 2 * torch.randn(n, classes, generator=generator) + bias


def weights(logits: Tensor, tau: float) -> list[float]:
    """Class by class: the most confident ones up to the mean number, all together as much as it."""
    p = [softmax(z) for z in logits.double()]
    kept = [i for i in range(len(p)) if p[i].max() >= tau]
    most = -(-len(kept) // logits.shape[1])
    found = [0.0] * len(p)
    for c in range(logits.shape[1]):
        own = sorted((i for i in kept if p[i].argmax() == c), key=lambda i: -p[i].max().item())[:most]
        for i in own:
            found[i] = most / len(own)
    return found


@pytest.mark.parametrize("classes", [2, 5, 100])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_weights_are_the_loop(classes: int, tau: float) -> None:
    logits = random_logits(classes)
    made = started(classes, logits, {"algo.tau": tau})
    assert made.weight.tolist() == pytest.approx(weights(logits, tau))
    plain = started(classes, logits, {"algo.tau": tau, "algo.balance": False})
    assert plain.weight.tolist() == [float(softmax(z).max() >= tau) for z in logits.double()]


def test_by_hand() -> None:
    """Four of class 0, one of class 1, none of class 2, and one image below tau: the mean is 5 / 3, so 2.

    The two most confident of class 0 count once, the one of class 1 twice.
    """
    p = torch.tensor(
        [[0.6, 0.2, 0.2], [0.9, 0.05, 0.05], [0.1, 0.7, 0.2], [0.4, 0.3, 0.3], [0.8, 0.1, 0.1], [0.5, 0, 0.5]]
    )
    made = started(3, p.clamp_min(1e-9).log(), {"algo.tau": 0.5, "algo.temperature": 0.5})
    assert made.weight.tolist() == [0, 1, 2, 0, 1, 0]
    assert made.confidence.tolist() == pytest.approx([0.6, 0.9, 0.7, 0.4, 0.8, 0.5])
    assert made.target[0].tolist() == pytest.approx([0.36 / 0.44, 0.04 / 0.44, 0.04 / 0.44])


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u = given["unlabeled"]
    rows = zip(u.index.tolist(), made.student(u["strong"]).logits, strict=True)
    lost = [made.weight[i] * entropy(made.target[i], softmax(z)) for i, z in rows]
    return {"supervised": labelled(made, given), "unlabeled": made.lambda_u * mean(lost)}


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
def test_a_step_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float) -> None:
    made = started(classes, random_logits(classes), {"algo.tau": tau, "algo.temperature": 0.7})
    given = drawn(NAME, labeled, unlabeled, classes)
    index = torch.arange(POOL - unlabeled, POOL).flip(0)  # labels go by the place in the pool
    losses = compare(made, loops, {**given, "unlabeled": replace(given["unlabeled"], index=index)})
    assert losses.labels is not None
    assert losses.labels.target.equal(made.target[index])


def test_labels_stay_and_the_average_follows() -> None:
    made = made_of(NAME, 5, averaged=Tiny(5, seed=1))
    made.start(Shown(made, random_logits(5)))
    kept, before = made.target.clone(), made.average.network.head.weight.clone()
    made.train_step(Trainer(made), [drawn(NAME, 3, 6, 5)], [STEP])
    assert made.target.equal(kept)
    torch.testing.assert_close(made.average.network.head.weight, 0.9 * before + 0.1 * made.student.head.weight)


def test_there_is_one_average(tmp_path: Any) -> None:
    """The one that is evaluated is the one that made the labels, and it moves once a step."""
    made = job({"algo": NAME})
    assert made.average is made.algorithm.average
    engine = Engine(made, tmp_path)
    assert not engine.averages
    made.algorithm.start(engine)
    encoded = engine.encode(made.average.network, "unlabeled").logits.softmax(1)
    torch.testing.assert_close(made.algorithm.target, encoded)


@pytest.mark.parametrize("wrong", [{"algo.lambda_u": -1.0}, {"algo.tau": 1.1}, {"algo.temperature": 0.0}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        made_of(NAME, 5, wrong)


def test_a_teacher_that_is_given_labels_the_pool_in_the_place_of_the_average() -> None:
    """So that the student may start anew; of several networks by their mean, and without a prediction by none."""
    logits = random_logits(5)
    p = torch.stack([logits.softmax(1), logits.flip(0).softmax(1)])
    p[:, 3] = float("nan")
    made: Any = made_of(NAME, 5, unlabeled=POOL)
    asked = Shown(made, torch.zeros(POOL, 5))
    asked.others = p
    made.start(asked)
    mean_p = p.mean(0)
    known = [i for i in range(POOL) if i != 3]
    torch.testing.assert_close(made.target[known], mean_p[known].to(made.target), rtol=1e-5, atol=1e-7)
    assert made.weight[3] == 0
    kept = [i for i in known if mean_p[i].max() >= 0.3]
    assert {i for i in range(POOL) if made.weight[i] > 0} <= {*kept}
    assert made.weight.sum() > 0
