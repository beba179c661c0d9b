"""SimMatchV2 against its equations as loops, an example by hand, and what must hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.contracts import Batch
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.make import STEP, Trainer
from tests.algorithms.tiny import CASES, Terms, Tiny, compare, drawn, entropy, labelled, made_of, mean, softmax

NAME = "simmatchv2"


def embedded(net: Any, features: Tensor) -> list[Tensor]:
    """LayerNorm and two layers, one image at a time."""
    norm, (first, _, second) = net.added["projector"][0], net.added["projector"][1]
    out = []
    for f in features:
        centred = f - f.mean()
        h = centred / ((centred * centred).mean() + 1e-5).sqrt() * norm.weight + norm.bias
        e = second.weight @ (first.weight @ h + first.bias).clamp_min(0) + second.bias
        out.append(e / (e * e).sum().sqrt())
    return out


def spread(f: Tensor, p: Tensor, bank: Tensor, y: list[int], alpha: float, t: float, k: int) -> Tensor:
    """By the series (1 - alpha) sum of alpha^j A^j Y, whose sum the inverse is."""
    nearest = sorted(range(len(bank)), key=lambda i: -(bank[i] @ f).item())[:k]
    nodes = [f, *(bank[i] for i in nearest)]
    rows = [p, *(torch.eye(len(p), dtype=torch.float64)[y[i]] for i in nearest)]
    a = torch.zeros(len(nodes), len(nodes), dtype=torch.float64)
    for i, one in enumerate(nodes):
        powers = [math.exp((one @ other).item() / t) if i != j else 0.0 for j, other in enumerate(nodes)]
        a[i] = torch.tensor([x / sum(powers) for x in powers], dtype=torch.float64)
    term = current = torch.stack(rows)
    for _ in range(200):
        current = alpha * a @ current
        term = term + current
    return (1 - alpha) * term[0]


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u, teacher, classes = given["unlabeled"], made.teacher.average.network, made.bank.classes
    weak, strong = teacher(u["weak"]), made.student(u["strong"])
    y, count, t = made.bank.label.tolist(), min(int(made.written), len(made.queue)), made.temperature
    zero = torch.zeros((), dtype=torch.float64)
    nn, ee, ne = [], [], []
    for f, g, z, z_strong in zip(
        embedded(teacher, weak.features),
        embedded(made.student, strong.features),
        weak.logits.detach(),
        strong.logits,
        strict=True,
    ):
        p = softmax(z) * (1 / classes + 1e-6) / (made.align.mean + 1e-6)
        p = p / p.sum()
        whole = max(y) < classes
        q = spread(f.detach(), p, made.bank.embedding, y, made.alpha, t, made.neighbours) if whole else p
        nn.append(entropy(q, softmax(z_strong)) if p.max() >= made.tau else zero)
        if count:
            r = softmax(torch.stack([f.detach() @ row for row in made.queue[:count]]) / t)
            s = softmax(torch.stack([g @ row for row in made.queue[:count]]) / t)
            ee.append(entropy(r, s))
            blend = sum(s[j] * made.queue_p[j] for j in range(count))
            ne.append(-sum(p[c] * (blend[c] + 1e-7).log() for c in range(classes)))
    return {
        "supervised": labelled(made, given),
        "node_node": made.lambda_nn * mean(nn),
        "edge_edge": made.lambda_ee * (mean(ee) if ee else zero),
        "node_edge": made.lambda_ne * (mean(ne) if ne else zero),
    }


def filled(classes: int, labeled: int, written: int, request: dict[str, Any] | None = None) -> Any:
    asked = {"algo.temperature": 0.5, "algo.queue": 7, "algo.alpha": 0.6, "algo.neighbours": 2, **(request or {})}
    made = made_of(NAME, classes, asked, labeled=labeled, averaged=Tiny(classes, seed=1))
    for weight in made.teacher.average.network.double().added.parameters():
        weight.add_(torch.randn_like(weight), alpha=0.2)  # another projector than the student's
    generator = torch.Generator().manual_seed(1)
    made.bank.embedding.copy_(F.normalize(torch.randn(labeled, 128, generator=generator).double() + 0.2))
    made.bank.label.copy_(torch.arange(labeled) % classes)
    made.queue[:written] = F.normalize(torch.randn(7, 128, generator=generator).double())[:written]
    made.queue_p[:written] = torch.rand(7, classes, generator=generator).double().softmax(1)[:written]
    made.written.fill_(written)
    made.align.mean.copy_(torch.linspace(1, 2, classes) / torch.linspace(1, 2, classes).sum())
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("written", [0, 4, 7])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float, written: int) -> None:
    request = {"algo.tau": tau, "algo.lambda_nn": 2.0, "algo.lambda_ee": 0.7, "algo.lambda_ne": 1.3}
    made = filled(classes, labeled, written, request)
    losses = compare(made, loops, drawn(NAME, labeled, unlabeled, classes), near=1e-8)
    assert (losses.terms["edge_edge"] > 0) == (losses.terms["node_edge"] > 0) == (written > 0)
    assert losses.labels is not None
    torch.testing.assert_close(losses.labels.target.sum(1), torch.ones(unlabeled).double())


def test_by_hand() -> None:
    """Two nodes only have each other: A is (0 1; 1 0), and q = (1 - alpha) (p + alpha y) / (1 - alpha^2).

    With alpha 1/2 that is (2 p + y) / 3, whatever the likenesses. Three images, the nearest one's class counts.
    """
    made = filled(3, 3, 0, {"algo.neighbours": 1, "algo.alpha": 0.5})
    made.bank.embedding.copy_(torch.eye(128)[:3])
    made.bank.label.copy_(torch.tensor([2, 0, 1]))
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64)
    towards = torch.eye(128, dtype=torch.float64)[[1, 0, 2]]
    q = made.spread(towards, p)
    expected = [[2 / 3, 0.2, 0.4 / 3], [0.2 / 3, 0.2 / 3, 2.6 / 3], [2 / 9, 5 / 9, 2 / 9]]
    torch.testing.assert_close(q, torch.tensor(expected, dtype=torch.float64))


def test_without_spreading_the_target_is_the_prediction() -> None:
    made = filled(5, 4, 3, {"algo.alpha": 0.0})
    losses = made(drawn(NAME, 4, 6, 5), STEP)
    torch.testing.assert_close(losses.labels.target, losses.memory["aligned"])


def test_before_all_labelled_images_were_seen_nothing_spreads() -> None:
    made = filled(5, 4, 3)
    made.bank.label[1] = 5
    losses = made(drawn(NAME, 4, 6, 5), STEP)
    assert losses.labels.target.equal(losses.memory["aligned"])


def test_the_queue_is_a_ring_and_the_bank_has_the_teachers_embeddings() -> None:
    made, given = filled(5, 3, 4), drawn(NAME, 3, 5, 5)
    teacher, kept = made.teacher.average.network, made.queue.clone()
    before = torch.stack(embedded(teacher, teacher(given["unlabeled"]["weak"]).features))
    of_x = torch.stack(embedded(teacher, teacher(given["labeled"]["weak"]).features))
    (losses,) = made.train_step(Trainer(made), [given], [STEP])
    assert made.written == 9
    torch.testing.assert_close(made.queue[[4, 5, 6, 0, 1]], before)
    torch.testing.assert_close(made.queue_p[[4, 5, 6, 0, 1]], losses.memory["aligned"])
    assert made.queue[[2, 3]].equal(kept[[2, 3]])
    torch.testing.assert_close(made.bank.embedding, of_x)
    made.after_step([losses, losses], STEP)  # ten rows for seven places: the last seven
    assert made.written == 16
    torch.testing.assert_close(made.queue[[(9 + i) % 7 for i in range(7)]], before[[3, 4, 0, 1, 2, 3, 4]])


def test_without_an_averaged_teacher_it_is_the_student() -> None:
    made = made_of(NAME, 5, {"teacher": "self"}, labeled=3)
    made.train_step(Trainer(made), [drawn(NAME, 3, 6, 5)], [STEP])
    (losses,) = made.train_step(Trainer(made), [drawn(NAME, 3, 6, 5)], [STEP])
    assert all(term.isfinite() and term > 0 for name, term in losses.terms.items() if name != "node_node")


@pytest.mark.parametrize(
    "wrong",
    [
        {"algo.tau": 1.1},
        {"algo.alpha": 1.0},
        {"algo.lambda_nn": -1.0},
        {"algo.temperature": 0.0},
        {"algo.neighbours": 0},
        {"algo.queue": 0},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        made_of(NAME, 5, wrong)
