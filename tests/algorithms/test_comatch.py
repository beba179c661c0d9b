"""CoMatch against its equations as loops, an example by hand, its memory, and what must hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.algorithms._bank import Bank
from sslkit.contracts import Batch
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.make import STEP, Trainer, algorithm, setup
from tests.algorithms.tiny import (
    CASES,
    Terms,
    Tiny,
    compare,
    drawn,
    entropy,
    labelled,
    made_of,
    mean,
    softmax,
)


def projected(made: Any, features: Tensor) -> list[Tensor]:
    first, last = made.projector[0], made.projector[2]
    inner = [torch.stack([y if y > 0 else 0 * y for y in first.weight @ f + first.bias]) for f in features]
    rows = [last.weight @ hidden + last.bias for hidden in inner]
    return [row / row.norm() for row in rows]


def aligned(made: Any, p: Tensor) -> Tensor:
    total = made.align.history.sum(0)
    q = [p[c] / (total[c] / total.sum() + 1e-6) if total.sum() else p[c] for c in range(len(p))]
    return torch.stack(q) / sum(q)


def targets(made: Any, weak: Tensor) -> list[Tensor]:
    out = made.student(weak)
    found = []
    for f, z in zip(projected(made, out.features), out.logits, strict=True):
        q = aligned(made, softmax(z))
        if made.bank.written >= len(made.bank.keys):
            near = softmax(torch.stack([f @ key / made.temperature for key in made.bank.keys]))
            others = sum(share * value for share, value in zip(near, made.bank.values, strict=True))
            q = made.alpha * q + (1 - made.alpha) * others
        found.append(q.detach())
    return found


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u = given["unlabeled"]
    q = targets(made, u["weak"])
    first, second = (made.student(u[view]) for view in ("strong", "strong2"))
    f0, f1 = projected(made, first.features), projected(made, second.features)
    zero = 0 * first.logits.sum()
    kept = [entropy(t, softmax(z)) if t.max() >= made.tau else zero for t, z in zip(q, first.logits, strict=True)]
    contrast = []
    for i in range(len(q)):
        g = [1.0 if i == j else float(q[i] @ q[j]) for j in range(len(q))]
        g = [v if v >= made.graph else 0.0 for v in g]
        s = softmax(torch.stack([f0[i] @ other / made.temperature for other in f1]))
        contrast.append(entropy(torch.tensor(g, dtype=torch.float64) / sum(g), s))
    return {
        "supervised": labelled(made, given),
        "unlabeled": made.lambda_u * mean(kept),
        "contrast": made.lambda_c * mean(contrast),
    }


def comatch(classes: int, full: bool = True, **request: Any) -> Any:
    """With a memory of seven rows, and history, drawn at random."""
    asked = {"bank": 7, "dim": 4, "lambda_u": 0.7, "lambda_c": 0.3, **request}
    made = made_of("comatch", classes, {f"algo.{key}": value for key, value in asked.items()})
    generator = torch.Generator().manual_seed(3)
    made.align.history[:3] = torch.rand(3, classes, generator=generator)
    made.bank.values.copy_((3 * torch.rand(7, classes, generator=generator)).softmax(1))
    keys = torch.randn(7, 4, generator=generator)
    made.bank.keys.copy_(keys / keys.norm(dim=1, keepdim=True))
    made.bank.written.fill_(7 if full else 6)
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("tau", "graph"), [(0.0, 0.0), (0.4, 0.3), (1.0, 1.0)])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, full: bool, tau: float, graph: float) -> None:
    made = comatch(classes, full, tau=tau, graph=graph, alpha=0.6)
    losses = compare(made, loops, drawn("comatch", labeled, unlabeled, classes))
    assert losses.labels is not None
    assert losses.labels.target.sum(1).tolist() == pytest.approx([1.0] * unlabeled)


def test_the_graph_by_hand() -> None:
    """q1 . q2 = 0.6 * 0.5 + 0.4 * 0.5 = 0.5, q1 . q3 = 0.44, q2 . q3 = 0.5; the own place is 1."""
    made = comatch(2, graph=0.45)
    g = made.pairs(torch.tensor([[0.6, 0.4], [0.5, 0.5], [0.2, 0.8]], dtype=torch.float64))
    expected = [[1 / 1.5, 0.5 / 1.5, 0], [0.25, 0.5, 0.25], [0, 0.5 / 1.5, 1 / 1.5]]
    assert g.flatten().tolist() == pytest.approx([x for row in expected for x in row], rel=1e-6)
    assert made.pairs(g[:, :2]).sum(1).tolist() == pytest.approx([1, 1, 1])


def test_the_strictest_graph_is_the_image_itself() -> None:
    made = comatch(5, graph=1.0)
    q = torch.rand(6, 5, dtype=torch.float64).softmax(1)
    assert made.pairs(q).equal(torch.eye(6, dtype=torch.float64))


def test_smoothing_by_hand() -> None:
    """Two rows, of which the key is like one and at right angles to the other: shares e^2 and 1 at 1/2."""
    bank = Bank(2, 2, 2)
    bank.keys.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    bank.values.copy_(torch.tensor([[0.9, 0.1], [0.2, 0.8]]))
    share = math.e**2 / (math.e**2 + 1)
    found = bank.read(torch.tensor([[1.0, 0.0]]), 0.5)
    assert found[0].tolist() == pytest.approx([0.9 * share + 0.2 * (1 - share), 0.1 * share + 0.8 * (1 - share)])


def test_the_memory_is_first_in_first_out() -> None:
    bank = Bank(5, 1, 2)
    kept: list[float] = []
    for first, count in ((0, 2), (10, 3), (20, 4), (30, 12), (50, 1)):
        assert bool(bank.full()) == (len(kept) >= 5)
        rows = [float(first + i) for i in range(count)]
        bank.write(torch.tensor(rows)[:, None], torch.tensor(rows)[:, None].expand(-1, 2))
        kept += rows
        assert sorted(bank.keys.flatten().tolist())[-min(5, len(kept)) :] == sorted(kept[-5:])
        assert bank.values[:, 0].equal(bank.keys[:, 0])


def test_a_step_writes_what_it_saw_after_it() -> None:
    """Weak views with their aligned predictions before smoothing, then labelled images with their labels."""
    made = comatch(5, bank=7)
    given = drawn("comatch", 2, 4, 5)
    out, weak = made.student(given["labeled"]["weak"]), made.student(given["unlabeled"]["weak"])
    keys = torch.stack([*projected(made, weak.features), *projected(made, out.features)]).detach()
    values = torch.stack([*(aligned(made, softmax(z)) for z in weak.logits), *torch.eye(5)[:2].double()]).detach()
    p, oldest = torch.stack([softmax(z) for z in weak.logits]).detach(), made.bank.keys[6].clone()
    made.train_step(Trainer(made), [given], [STEP])
    torch.testing.assert_close(made.bank.keys, torch.cat([keys, oldest[None]]))
    torch.testing.assert_close(made.bank.values[:6], values)
    torch.testing.assert_close(made.align.history[STEP.index], p.mean(0))


def test_a_published_memory_is_full_after_five_steps() -> None:
    made: Any = algorithm("comatch", setup(Tiny(10), classes=10))
    assert made.bank.keys.shape == (2560, 64)
    for _ in range(5):
        assert not made.bank.full()
        made.bank.write(torch.randn(512, 64), torch.rand(512, 10))
    assert made.bank.full()


def test_nothing_kept() -> None:
    made = comatch(5, tau=1.0)
    losses = made(drawn("comatch", 3, 6, 5), STEP)
    losses.total.backward()
    assert losses.terms["unlabeled"] == 0
    assert all(p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize(
    ("key", "value"),
    [("graph", 1.1), ("tau", -0.1), ("alpha", 2.0), ("temperature", 0.0), ("bank", 0), ("dim", 0), ("lambda_c", -1.0)],
)
def test_options_out_of_range_are_refused(key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"algo\.{key}"):
        made_of("comatch", 5, {f"algo.{key}": value})
