"""ABC: against loops, an example worked by hand, and what even labels make of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from sslkit.contracts import Batch, Stream
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms.long_tail import CASES, best, counts_of, drawn, of, tailed, weighed
from tests.algorithms.make import STEP, algorithm, network, setup
from tests.algorithms.tiny import Terms, Tiny, compare, entropy, labelled, log, mean, softmax

CPU = torch.device("cpu")


def rarities(counts: list[int]) -> list[float]:
    fewest = min(n for n in counts if n)
    return [fewest / max(n, fewest) for n in counts]


def abc(made: Any, given: Batch, step: Step) -> Terms:
    """The loops: FixMatch, and what the second head learns."""
    net, x, u = made.student, given["labeled"], given["unlabeled"]
    teacher = getattr(made.teacher, "average", None)
    teacher = teacher.network if teacher else net
    head, rarity = net.added["balanced"], rarities(counts_of(len(made.rarity)))
    out_x, weak, strong = net(x["weak"]), teacher(u["weak"]), net(u["strong"])
    n, b = len(u.index), len(x.index)
    r_x = step.uniform("abc.labeled", b, device=CPU).tolist()
    r_u = step.uniform("abc.unlabeled", n, device=CPU).tolist()
    t = step.index / step.total
    fixmatch, second, labeled = [], [], []
    for i in range(n):
        y, o = best(softmax(weak.logits[i]))
        fixmatch.append(float(o >= made.labeler.tau) * log(softmax(strong.logits[i]), y))
        q = softmax(teacher.added["balanced"](weak.features[i])).detach()
        y, o = best(q)
        counts = o >= made.tau and r_u[i] < 1 - t * (1 - rarity[y])
        second.append(float(counts) * entropy(q, softmax(head(strong.features[i]))))
    assert x.label is not None
    for i, y in enumerate(x.label.tolist()):
        labeled.append(float(r_x[i] < rarity[y]) * log(softmax(head(out_x.features[i])), y))
    family = {"supervised": labelled(made, given), "unlabeled": made.lambda_u * mean(fixmatch)}
    return family | {"balanced": mean(labeled), "balanced_unlabeled": made.lambda_u * mean(second)}


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), CASES)
def test_abc_is_the_loop(labeled: int, unlabeled: int, classes: int, tau: float) -> None:
    request = {"algo.tau": tau, "labeler.tau": tau, "algo.lambda_u": 0.7}
    for index in (0, 19):
        made = tailed("abc", classes, request)
        compare(made, abc, drawn("abc", labeled, unlabeled, classes, seed=index), Step(index, 20, 3))


def test_abc_with_an_averaged_teacher_labels_by_the_averaged_second_head() -> None:
    made = tailed("abc", 5, {"algo.tau": 0.0, "teacher": "ema"}, averaged=Tiny(5))
    with torch.no_grad():
        for weight in made.teacher.average.network.parameters():
            weight.mul_(-1.5)
    compare(made, abc, drawn("abc", 3, 6, 5), Step(2, 20, 3))


def extra(made: Any, weak: Any, strong: Any, y: list[int], step: Step = STEP) -> dict[str, torch.Tensor]:
    made.student.added["balanced"] = nn.Identity()
    x = {"labeled": Stream({}, torch.arange(len(y)), torch.tensor(y))}
    labels = weighed(*[1.0] * len(y), classes=3)
    found: dict[str, torch.Tensor] = made.extra(strong, weak, strong, labels, x, step)
    return found


def test_abc_by_hand() -> None:
    """Even labels, so all count: of confidences 0.7, 0.5 and 0.8 at tau 0.6 the first and third, with soft targets."""
    made = tailed("abc", 3, {"algo.tau": 0.6}, counts=[4, 4, 4])
    weak, strong = of((0.7, 0.2, 0.1), (0.2, 0.5, 0.3), (0.1, 0.1, 0.8)), of(*[(0.5, 0.25, 0.25)] * 3)
    found = extra(made, weak, strong, [0, 1, 2])
    first = 0.7 * math.log(2) + 0.3 * math.log(4)
    third = 0.2 * math.log(4) * 0.5 + 0.1 * math.log(2) + 0.8 * math.log(4)
    assert first == pytest.approx(1.3 * math.log(2))
    assert third == pytest.approx(1.9 * math.log(2))
    assert found["balanced_unlabeled"].item() == pytest.approx((1.3 + 1.9) * math.log(2) / 3)
    assert found["balanced"].item() == pytest.approx((math.log(2) + 2 * math.log(4)) / 3)
    found["balanced_unlabeled"].backward()
    assert weak.features.grad is None, "the target is detached"


def test_abc_counts_every_class_equally_often() -> None:
    """Over many draws the labelled images that count are as many of each class; at the end so are the unlabelled."""
    made = tailed("abc", 3, {"algo.tau": 0.0}, counts=[6, 3, 1])
    for term, index in (("balanced", 0), ("balanced_unlabeled", 2000)):
        found = []
        for c, n in enumerate([6, 3, 1]):  # the loss of all images is the same, so the term tells how many counted
            rows = of(*[tuple(0.98 if k == c else 0.01 for k in range(3))] * n)
            terms = [extra(made, rows, rows, [c] * n, Step(index, 2000, seed))[term].item() * n for seed in range(300)]
            found.append(sum(terms) / len(terms))
        assert found == pytest.approx([found[2]] * 3, rel=0.15)


def test_abc_of_even_labels_draws_nothing_away() -> None:
    made: Any = algorithm("abc", setup())
    assert made.rarity.tolist() == [1.0] * 5


def test_abc_takes_a_class_without_a_label_for_the_rarest() -> None:
    assert tailed("abc", 4, counts=[8, 4, 2, 0]).rarity.tolist() == [0.25, 0.5, 1.0, 1.0]


def test_abc_classifies_by_its_second_head() -> None:
    net: Any = network()
    made = algorithm("abc", setup(net))
    with torch.no_grad():
        net.added["balanced"].bias.copy_(torch.tensor([0.0, 0, 0, 0, 9]))
    images = torch.randn(6, 3, 8, 8)
    shown = made.predict(net, images)
    torch.testing.assert_close(shown, net(images).logits + torch.tensor([0.0, 0, 0, 0, 9]))


def test_abc_refuses_what_is_no_threshold() -> None:
    with pytest.raises(UserError, match=r"algo\.tau"):
        algorithm("abc", setup(), {"algo.tau": 1.5})
