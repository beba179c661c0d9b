"""RegMixMatch against its equations as loops, an example by hand, ResizeMix pixel by pixel, and what must hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.algorithms._resizemix import resizemix
from sslkit.contracts import Batch
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.make import STEP, images
from tests.algorithms.test_family import fairness
from tests.algorithms.tiny import CASES, Terms, compare, drawn, entropy, labelled, log, made_of, mean, order, softmax

CPU = torch.device("cpu")


def pasted(image: Tensor, other: Tensor, scale: float, at: tuple[float, float]) -> tuple[Tensor, float]:
    """A box of the other image's middle, by the nearest pixel, and the share that is left."""
    side, out = image.shape[1], image.clone()
    half, crop = int(side * scale) // 2, int(side * 0.9)
    limits = [(max(int(u * side) - half, 0), min(int(u * side) + half, side)) for u in at]
    (top, bottom), (left, right) = limits
    for y in range(top, bottom):
        for x in range(left, right):
            from_y = int((y - top) * crop / (bottom - top)) + (side - crop) // 2
            from_x = int((x - left) * crop / (right - left)) + (side - crop) // 2
            out[:, y, x] = other[:, from_y, from_x]
    return out, 1 - (bottom - top) * (right - left) / side**2


def partners(mixing: list[bool], sure: list[bool], label: list[int], step: Step) -> list[int | None]:
    m = len(label)
    order_of = step.uniform("resizemix.pair", m, device=CPU).tolist()
    cycle = sorted((i for i in range(m) if mixing[i]), key=lambda i: order_of[i])
    draws = step.uniform("resizemix.any", m, m, device=CPU).tolist()
    same = step.uniform("resizemix.same", 1, device=CPU).item() < 0.5
    found: list[int | None] = []
    for i in range(m):
        if mixing[i]:
            found.append(cycle[(cycle.index(i) + 1) % len(cycle)])
        else:
            allowed = [j for j in range(m) if sure[j] and (not same or label[j] == label[i])]
            found.append(max(allowed, key=lambda j: draws[i][j]) if allowed else None)
    return found


def loops(made: Any, given: Batch, step: Step) -> Terms:
    x, u, net = given["labeled"], given["unlabeled"], made.student
    assert x.label is not None
    weak = [softmax(z).detach() for z in net(u["weak"]).logits]
    strong = [softmax(z) for z in net(u["strong"]).logits]
    b, n, classes = len(x.index), len(weak), len(weak[0])
    limits = [made.labeler.tau * m / max(made.labeler.mean) for m in made.labeler.mean]
    kept = [float(p.max() >= limits[order(p)[0]]) for p in weak]
    sure = [True] * b + [bool(p.max() >= made.sure) for p in weak]
    mixing = [made.many] * b + sure[b:]
    label = [*x.label.tolist(), *(order(p)[0] for p in weak)]
    hard = torch.eye(classes, dtype=torch.float64)
    own = [hard[c] if known else weak[i - b] for i, (c, known) in enumerate(zip(label, sure, strict=True))]
    views, at = torch.cat([x["weak"], u["strong"]]), step.uniform("resizemix.box", 4, b + n, device=CPU).tolist()
    beta = {a: step.beta(f"resizemix.{a}", float(a), b + n, device=CPU).tolist() for a in (1, 16)}
    first = 0 if made.many else b
    mixed, goals = [], []
    for i, j in enumerate(partners(mixing, sure, label, step)):
        scale = 0.0 if j is None else 0.1 + 0.7 * math.sqrt(beta[1 if mixing[i] else 16][i])
        image, share = pasted(views[i], views[i if j is None else j], scale, (at[0][i], at[1][i]))
        mixed.append(image)
        goals.append(share * own[i] + (1 - share) * hard[label[i if j is None else j]])
    zero = 0 * strong[0].sum()
    certain, unsure = [zero], []
    for i, z in enumerate(net(torch.stack(mixed[first:])).logits, first):
        if mixing[i]:
            certain.append(entropy(goals[i], softmax(z)))
        if not sure[i]:
            apart = mean([(a - t) ** 2 for a, t in zip(softmax(z), goals[i], strict=True)])
            unsure.append(weak[i - b].max() ** 3 * apart)
    given_kept = [w * log(q, order(p)[0]) for w, p, q in zip(kept, weak, strong, strict=True)]
    return {
        "supervised": labelled(made, given),
        "unlabeled": made.lambda_u * mean(given_kept),
        "fairness": torch.zeros((), dtype=torch.float64) * zero,  # of FreeMatch, with weight 0 here
        "sure": made.lambda_u * sum(certain) / n,
        "unsure": made.lambda_u * made.lambda_c * (mean(unsure) if unsure else zero),
    }


def regmixmatch(classes: int, sure: float, **request: Any) -> Any:
    asked = {"algo.sure": sure, "algo.lambda_u": 0.7, "algo.lambda_f": 0.0, "algo.lambda_c": 0.6, **request}
    return made_of("regmixmatch", classes, asked, **({"labeled": 100 * classes} if request.get("many") else {}))


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
@pytest.mark.parametrize("sure", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("seed", [11, 12])
def test_it_is_the_loop(labeled: int, unlabeled: int, classes: int, sure: float, many: bool, seed: int) -> None:
    made = regmixmatch(classes, sure, many=many)
    assert made.many == many
    given = drawn("regmixmatch", labeled, unlabeled, classes, seed)
    compare(made, loops, given, Step(3, 20, seed), near=1e-6)  # ratios are drawn in float32


def test_the_cases_above_have_both_kinds_of_partner() -> None:
    same = [Step(3, 20, seed).uniform("resizemix.same", 1, device=CPU).item() < 0.5 for seed in (11, 12)]
    assert sorted(same) == [False, True]
    made = regmixmatch(5, 0.5)
    assert {bool(o >= 0.5) for o in made(drawn("regmixmatch", 3, 6, 5, 11), STEP).labels.confidence} == {True, False}


@pytest.mark.parametrize("side", [4, 7, 32])
def test_resizemix_is_pixel_by_pixel(side: int) -> None:
    n = 20
    x, partner = images(n, side, side), torch.arange(n).roll(3)
    u = torch.rand(4, n, generator=torch.Generator().manual_seed(0))
    scale = torch.linspace(0.1, 0.8, n)
    mixed, share = resizemix(x, partner, scale, u)
    for i in range(n):
        image, left = pasted(x[i], x[partner[i]], scale[i].item(), (u[0, i].item(), u[1, i].item()))
        assert mixed[i].equal(image)
        assert share[i].item() == pytest.approx(left)
    assert share.min() < 1


def test_resizemix_by_hand() -> None:
    """Half of 4 pixels about (2, 2): rows and columns 1 and 2, of the middle 3 of 4, its pixels 0 and 1 (of 3 to 2)."""
    x = torch.stack([torch.zeros(3, 4, 4), torch.arange(16.0).reshape(1, 4, 4).expand(3, 4, 4)])
    mixed, share = resizemix(x, torch.tensor([1, 0]), torch.tensor([0.5, 0.0]), torch.full((4, 2), 0.5))
    assert mixed[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 4, 5, 0], [0, 0, 0, 0]]
    assert mixed[1].equal(x[1])
    assert share.tolist() == [0.75, 1.0]


def test_fairness_is_freematchs() -> None:
    made = regmixmatch(5, 0.5, **{"algo.lambda_f": 0.01})
    given = drawn("regmixmatch", 3, 6, 5)
    losses, strong = made(given, STEP), made.student(given["unlabeled"]["strong"]).p
    mean_, shares = made.labeler.mean.tolist(), made.labeler.shares.tolist()
    expected = fairness(mean_, shares, strong.tolist(), losses.labels.weight.tolist())
    assert losses.terms["fairness"].item() == pytest.approx(0.01 * expected, rel=1e-6)


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_all_or_none_sure_is_finite(sure: float) -> None:
    made = regmixmatch(5, sure)
    losses = made(drawn("regmixmatch", 3, 6, 5), STEP)
    losses.total.backward()
    assert (losses.terms["unsure"].item() == 0) == (sure == 0)
    assert (losses.terms["sure"].item() == 0) == (sure == 1)
    assert all(p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize(("key", "value"), [("sure", 1.1), ("lambda_c", -1.0)])
def test_options_out_of_range_are_refused(key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"algo\.{key}"):
        made_of("regmixmatch", 5, {f"algo.{key}": value})
