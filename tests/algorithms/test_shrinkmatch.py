"""ShrinkMatch against its equations as loops, an example by hand, and what must hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sslkit.algorithms._heads import BatchNorm
from sslkit.algorithms.labelers._running import Recent
from sslkit.algorithms.shrinkmatch import shrunk
from sslkit.contracts import Batch, PseudoLabels
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from tests.algorithms.make import STEP, part, setup
from tests.algorithms.tiny import (
    CASES,
    Terms,
    compare,
    drawn,
    entropy,
    labelled,
    log,
    made_of,
    mean,
    order,
    softmax,
)

ROWS = [[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.6, 0.1], [0.25, 0.2, 0.35, 0.2]]


def aligned(p: Tensor, history: Tensor) -> Tensor:
    """Probabilities of an image over the mean of the last batches."""
    seen = [sum(row[c] for row in history) for c in range(len(p))]
    total = sum(seen)
    q = [p[c] / (seen[c] / total + 1e-6) if total else p[c] for c in range(len(p))]
    return torch.stack([x / sum(q) for x in q])


def head(made: Any, features: Tensor) -> list[Tensor]:
    """Two layers with BatchNorm by this batch and leaky ReLU, then one without."""
    rows = list(features)
    for first in (0, 3):
        linear, norm = made.head[first], made.head[first + 1]
        rows = [linear.weight @ x + linear.bias for x in rows]
        centre = mean(rows)
        variance = mean([(x - centre) ** 2 for x in rows])
        rows = [(x - centre) / (variance + 1e-5).sqrt() * norm.weight + norm.bias for x in rows]
        rows = [torch.stack([y if y > 0 else 0.1 * y for y in x]) for x in rows]
    return [made.head[6].weight @ x + made.head[6].bias for x in rows]


def least(q: Tensor, tau: float) -> int | None:
    """The least m."""
    first = order(q)
    for m in range(2, len(q)):
        if q[first[0]] / (q[first[0]] + sum(q[c] for c in first[m:])) >= tau:
            return m
    return None


def loops(made: Any, given: Batch, step: Step) -> Terms:
    u, labeler = given["unlabeled"], made.labeler
    out = made.student(u["strong"])
    weak = [aligned(softmax(z).detach(), labeler.align.history) for z in made.student(u["weak"]).logits]
    zero = torch.zeros((), dtype=torch.float64)
    unlabeled = uncertain = zero
    for q, z, own in zip(weak, out.logits, head(made, out.features), strict=True):
        first = order(q)
        if q.max() >= labeler.tau:
            unlabeled = unlabeled + entropy(q, softmax(z))
        elif (m := least(q, labeler.tau)) is not None:
            left = [first[0], *first[m:]]
            uncertain = uncertain + q.max() * log(softmax(torch.stack([own[c] for c in left])), 0)
    n, scale = len(weak), made.lambda_u
    return {
        "supervised": labelled(made, given),
        "unlabeled": scale * unlabeled / n,
        "shrunk": scale * labeler.rho * uncertain / n + 0 * sum(p.sum() for p in made.head.parameters()),
    }


def remembering(classes: int, tau: float) -> Any:
    made = made_of("shrinkmatch", classes, {"labeler.tau": tau, "algo.lambda_u": 0.7})
    made.labeler.rho.fill_(0.3)
    made.labeler.align.history[:5] = torch.rand(5, classes, generator=torch.Generator().manual_seed(1))
    for module in made.head:
        if isinstance(module, BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("tau", [0.0, 0.5, 0.8, 1.0])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float) -> None:
    made = remembering(classes, tau)
    compare(made, loops, drawn("shrinkmatch", labeled, unlabeled, classes))


def test_the_cases_above_have_images_of_all_kinds() -> None:
    kinds: set[Any] = set()
    for tau in (0.5, 0.8):
        q = remembering(5, tau)(drawn("shrinkmatch", 3, 6, 5), STEP).labels.target
        kinds |= {"kept" if row.max() >= tau else least(row, tau) for row in q}
    assert kinds == {"kept", 2, 3, 4, None}


def test_the_shrunken_space_by_hand() -> None:
    """At 0.7: 0.5 of 0.7 without class 1 is 0.714, 0.6 of 0.8 is 0.75; 0.35 of 0.75 and of 0.55 is below.

    At 0.8: 0.5 of 0.55, 0.6 of 0.7. At 0.4 the first two are certain; the second class is never kept.
    """
    q = torch.tensor(ROWS, dtype=torch.float64)
    assert shrunk(q, 0.7)[0][:2].tolist() == [[0, 1, 2, 3], [2, 1, 0, 3]]
    none = [True, False, False, False]
    expected = {0.7: [True, False, True, True], 0.8: [True, False, False, True], 0.4: [True, False, True, True]}
    for tau, row in expected.items():
        assert shrunk(q, tau)[1].tolist() == [row, row, row if tau == 0.4 else none]


def test_the_term_by_hand() -> None:
    """The head says (1, 5, 2, 0) of all images: at 0.7 the first loses log(e + e^2 + 1) - 1, with weight 0.5.

    The second, of 0.6, loses log(e^2 + e + 1) - 2: classes 2, 0 and 3 are left. The third has no space.
    """
    made = made_of("shrinkmatch", 4, {"labeler.tau": 0.7})
    made.labeler.rho.fill_(0.25)
    with torch.no_grad():
        made.head[6].weight.zero_()
        made.head[6].bias.copy_(torch.tensor([1.0, 5, 2, 0]))
    q = torch.tensor(ROWS, dtype=torch.float64)
    out = Output(q.log(), torch.randn(3, 6, dtype=torch.float64))
    labels = PseudoLabels(q, torch.zeros(3, dtype=torch.float64), q.amax(1))
    found = made.extra(out, out, out, labels, {}, STEP)["shrunk"]
    both = math.log(math.e + math.e**2 + 1)
    assert found.item() == pytest.approx(0.25 * (0.5 * (both - 1) + 0.6 * (both - 2)) / 3, rel=1e-9)


def test_it_remembers_the_last_batches_and_the_share_that_is_kept() -> None:
    labeler = part("labeler", "shrinkmatch", setup(classes=3), batches=2, momentum=0.75, tau=0.5).double()
    seen: list[Tensor] = []
    rho = 0.0
    for index in range(5):
        step = Step(index, 5, 0)
        z = 2 * torch.randn(4, 3, generator=torch.Generator().manual_seed(index), dtype=torch.float64)
        found = labeler.label(Output(z, z), Output(z, z), {}, step)
        history = torch.stack(seen[-2:]) if seen else torch.zeros(1, 3)
        expected = [aligned(softmax(row), history) for row in z]
        torch.testing.assert_close(found.target, torch.stack(expected), rtol=1e-9, atol=1e-9)
        assert found.weight.tolist() == [float(q.max() >= 0.5) for q in expected]
        labeler.update(found, torch.arange(4), step)
        seen.append(mean([softmax(row) for row in z]))
        share = sum(found.weight.tolist()) / 4
        rho = 0.75 * rho + 0.25 * share if index else share
        assert labeler.rho.item() == pytest.approx(rho, rel=1e-9)


def test_alignment_with_the_last_batches_moves_nothing_before_the_first() -> None:
    align = Recent(setup(classes=4), 3)
    p = torch.tensor(ROWS)
    torch.testing.assert_close(align(p), p)
    align.update(p, Step(0, 9, 0))
    assert align(p).mean(0).std() < p.mean(0).std(), "classes become more even"


def test_the_heads_norm_is_batchnorm_that_takes_one_image() -> None:
    ours, theirs = BatchNorm(6), nn.BatchNorm1d(6, track_running_stats=False)
    x = torch.randn(5, 6)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours(x[:1]).tolist() == [[0.0] * 6]


def test_nothing_kept_is_nothing_at_first() -> None:
    made = made_of("shrinkmatch", 5, {"labeler.tau": 1.0})
    losses = made(drawn("shrinkmatch", 3, 6, 5), STEP)
    losses.total.backward()
    assert losses.terms["unlabeled"] == losses.terms["shrunk"] == 0
    assert all(p.grad.isfinite().all() for p in made.parameters())


def test_it_needs_its_own_labeler() -> None:
    with pytest.raises(UserError, match="--labeler shrinkmatch"):
        made_of("shrinkmatch", 5, {"labeler": "threshold"})
    with pytest.raises(UserError, match=r"labeler\.batches"):
        made_of("shrinkmatch", 5, {"labeler.batches": 0})
