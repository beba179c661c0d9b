"""Mixers against the loop over pairs, and the properties that hold for each."""

import itertools

import pytest
import torch

from sslkit.algorithms.mixers.pseudo import cycle
from sslkit.conformance.guard import no_sync
from sslkit.contracts import Mixed, PseudoLabels
from sslkit.errors import UserError
from sslkit.randomness import Step
from tests.algorithms import reference
from tests.algorithms.make import CLASSES, STEP, built_in, images, labels, part, setup

CPU = torch.device("cpu")
# No two of them make a box whose side is a whole number, which float32 and float64 may round differently.
CONFIDENCES = {
    "one kept": [0.91],
    "one rejected": [0.23],
    "two": [0.91, 0.33],
    "nothing kept": [0.11, 0.23, 0.36, 0.41, 0.47],
    "all kept": [0.61, 0.74, 0.83, 0.91, 1.0],
    "equal": [0.5] * 6,
    "zero": [0.0] * 4,
    "some zero": [0.0, 0.91, 0.0, 0.41, 0.74, 0.0, 0.57],
    "odd": [0.91, 0.11, 0.57, 0.33, 0.97, 0.74, 0.23],
}
CASES = [*itertools.product(CONFIDENCES, ["published", "unbiased"], [(8, 8), (5, 9)])]


def agree(found: Mixed, mix: reference.Mix) -> None:
    torch.testing.assert_close(found.images.double(), mix.out_images, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.labels.target.double(), mix.out_target, rtol=0, atol=1e-6)


def ratio(step: Step, alpha: float, cutmix_alpha: float, switch: float) -> tuple[float, bool, list[float]]:
    """The one draw of a batch: ratio, whether it is CutMix, and the draws of its box."""
    cut = step.uniform("mixer.switch", 1, device=CPU).item() < switch
    name, a = ("mixer.cutmix", cutmix_alpha) if cut else ("mixer.mixup", alpha)
    return step.beta(name, a, 1, device=CPU).item(), cut, step.uniform("mixer.box", 4, 1, device=CPU)[:, 0].tolist()


@pytest.mark.parametrize(("case", "box", "shape"), CASES)
def test_prob_pseudo_is_the_loop(case, box, shape):
    given, x = labels(CONFIDENCES[case]), images(len(CONFIDENCES[case]), *shape)
    mixer = part("mixer", "prob_pseudo", setup(), box=box)
    for index in range(6):
        step = Step(index, 20, 11)
        found = mixer.mix(x, given, step)
        mix = reference.Mix(x, given.target, box)
        partner = step.permutation("mixer.pair", len(x), CPU).tolist()
        u = step.uniform("mixer.box", 5, len(x), device=CPU).T.tolist()
        o, w = given.confidence.tolist(), given.weight.tolist()
        for i, j in enumerate(partner):
            mix.pair(i, j, reference.prob_pseudo_ratio(o[i], o[j]), u[i][4] < 0.5, u[i])
            assert found.labels.weight[i] == max(w[i], w[j])
            assert found.labels.confidence[i] == max(given.confidence[i], given.confidence[j])
        agree(found, mix)


@pytest.mark.parametrize(("case", "box", "shape"), CASES)
def test_pseudo_plus_is_the_loop(case, box, shape):
    given, x = labels(CONFIDENCES[case]), images(len(CONFIDENCES[case]), *shape)
    mixer = part("mixer", "pseudo_plus", setup(), box=box, alpha=0.8, cutmix_alpha=1.0, switch=0.5)
    for index in range(6):
        step = Step(index, 20, 11)
        found = mixer.mix(x, given, step)
        mix = reference.Mix(x, given.target, box)
        for i in range(len(x)):
            mix.pair(i, len(x) - 1 - i, *ratio(step, 0.8, 1.0, 0.5))
        agree(found, mix)
        assert found.labels.weight.equal(given.weight)  # the anchors' own
        assert found.labels.confidence.equal(given.confidence)


@pytest.mark.parametrize(("case", "box", "shape"), CASES)
def test_pseudo_is_the_loop(case, box, shape):
    given, x = labels(CONFIDENCES[case]), images(len(CONFIDENCES[case]), *shape)
    mixer = part("mixer", "pseudo", setup(), box=box, alpha=0.3, cutmix_alpha=2.0, switch=0.6)
    for index in range(6):
        step = Step(index, 20, 11)
        found = mixer.mix(x, given, step)
        mix = reference.Mix(x, given.target, box)
        u = step.uniform("mixer.pair", len(x), device=CPU).tolist()
        kept = sorted((i for i in range(len(x)) if given.weight[i] > 0), key=lambda i: u[i])
        for place, i in enumerate(kept):
            mix.pair(i, kept[(place + 1) % len(kept)], *ratio(step, 0.3, 2.0, 0.6))
        agree(found, mix)
        assert found.labels.weight.equal(given.weight)
        for i in set(range(len(x))) - set(kept):
            assert found.images[i].equal(x[i])  # who is out stays as it is, to the bit


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])
def test_mixup_is_the_loop(n, alpha):
    given, x = labels([0.9, 0.2, 0.6, 0.7, 0.3, 0.5, 0.8][:n]), images(n, 5, 9)
    mixer = part("mixer", "mixup", setup(), alpha=alpha)
    for index in range(6):
        step = Step(index, 20, 11)
        found = mixer.mix(x, given, step)
        mix = reference.Mix(x, given.target)
        partner = step.permutation("mixer.pair", n, CPU).tolist()
        lam = step.beta("mixer.mixup", alpha, n, device=CPU).tolist()
        for i, j in enumerate(partner):
            mix.pair(i, j, max(lam[i], 1 - lam[i]), False, [])
        agree(found, mix)
        assert found.labels.weight.equal(given.weight)  # the anchors' own
        assert found.labels.confidence.equal(given.confidence)


def test_mixup_by_ratios_of_one_returns_the_input():
    x, given = images(6), labels([0.9] * 6)
    found = part("mixer", "mixup", setup(), alpha=1e-6).mix(x, given, STEP)  # ratios are 0 or 1, the larger is 1
    assert found.images.equal(x)
    assert found.labels.target.equal(given.target)


def test_none_gives_back_what_it_got():
    x, given = images(3), labels([0.9, 0.1, 0.7])
    found = part("mixer", "none", setup()).mix(x, given, STEP)
    assert found.images is x
    assert found.labels is given


@pytest.mark.parametrize("members", [[], [2], [0, 3], [1, 2, 4], [0, 1, 2, 3, 4]])
def test_cycle_visits_every_member_once(members):
    member = torch.tensor([i in members for i in range(5)])
    following = cycle(member, Step(0, 1, len(members)).uniform("u", 5, device=CPU)).tolist()
    assert all(following[i] == i for i in range(5) if i not in members)
    if members:
        visited, at = [], members[0]
        for _ in members:
            visited.append(at)
            at = following[at]
        assert sorted(visited) == members
        assert at == members[0]


def test_cycles_are_drawn_evenly():
    """Four members have six cycles of equal probability."""
    found: dict[tuple[int, ...], int] = {}
    for index in range(1200):
        one = tuple(cycle(torch.ones(4, dtype=torch.bool), Step(index, 1200, 0).uniform("u", 4, device=CPU)).tolist())
        found[one] = found.get(one, 0) + 1
    assert len(found) == 6
    assert all(130 < count < 270 for count in found.values())  # 200 expected, deviation 13


def one_hot_batch(confidence: list[float]) -> PseudoLabels:
    """Every image of a class of its own, so that a mixed target tells who is in it."""
    return labels(confidence, classes=len(confidence), smoothing=0.0)


def test_prob_pseudo_partners_are_a_permutation_and_equal_confidences_mix_half_and_half():
    n = 9
    mixer = part("mixer", "prob_pseudo", setup(), cutmix=0.0)
    seen = set()
    for index in range(10):
        target = mixer.mix(images(n), one_hot_batch([0.7] * n), Step(index, 20, 1)).labels.target
        assert target.sum(0).tolist() == pytest.approx([1.0] * n)  # everyone is anchor once and partner once
        assert set(target.unique().tolist()) <= {0.0, 0.5, 1.0}
        seen.add(tuple(target.flatten().tolist()))
    assert len(seen) == 10


def test_identity_permutation_changes_nothing():
    x, given = images(1), labels([0.3])  # one image is its own partner
    for name in built_in("mixer"):
        for index in range(8):
            found = part("mixer", name, setup()).mix(x, given, Step(index, 20, 0))
            torch.testing.assert_close(found.images[:1], x)
            torch.testing.assert_close(found.labels.target[:1], given.target)


def test_mixed_weights_are_never_below_the_anchors_and_rejected_pairs_stay_out():
    given = labels([0.9, 0.1, 0.2, 0.8, 0.3, 0.05])
    mixer = part("mixer", "prob_pseudo", setup())
    for index in range(20):
        step = Step(index, 20, 2)
        weight = mixer.mix(images(6), given, step).labels.weight
        partner = step.permutation("mixer.pair", 6, CPU)
        assert (weight >= given.weight).all()
        assert not weight[(given.weight == 0) & (given.weight[partner] == 0)].any()


@pytest.mark.parametrize("weights", [[0.5, 2.0, 0.0, 0.25]])
def test_weights_may_be_any_number(weights):
    """FlexMatch's and SoftMatch's weights go through: the mixer knows no threshold."""
    given = labels([0.9, 0.8, 0.1, 0.6])
    given = PseudoLabels(given.target, torch.tensor(weights), given.confidence)
    step = Step(4, 20, 2)
    partner = step.permutation("mixer.pair", 4, CPU).tolist()
    found = part("mixer", "prob_pseudo", setup()).mix(images(4), given, step).labels.weight
    assert found.tolist() == [max(weights[i], weights[j]) for i, j in enumerate(partner)]


def test_published_cutmix_gives_the_anchor_at_least_its_ratio_and_the_target_the_area():
    """Images of ones with a partner of zeros: the mean pixel is the area that was kept."""
    n = 8
    x = torch.ones(n, 3, 8, 8) * torch.arange(n)[:, None, None, None]
    given = one_hot_batch([0.9, 0.1] * 4)
    mixer = part("mixer", "prob_pseudo", setup(), cutmix=1.0)
    for index in range(20):
        step = Step(index, 20, 3)
        found = mixer.mix(x, given, step)
        for i, j in enumerate(step.permutation("mixer.pair", n, CPU).tolist()):
            if i == j:
                continue
            kept = (found.images[i, 0] == i).float().mean().item()
            assert found.labels.target[i, i].item() == pytest.approx(kept)
            o = given.confidence
            assert kept >= (o[i] / (o[i] + o[j])).item() - 1e-6


def test_a_ratio_of_one_returns_the_input():
    x, given = images(2), labels([1.0, 0.0])
    mixer = part("mixer", "prob_pseudo", setup())
    for index in range(20):
        found = mixer.mix(x, given, Step(index, 20, 3))
        assert found.images[0].equal(x[0])
        assert found.labels.target[0].equal(given.target[0])


@pytest.mark.parametrize("name", built_in("mixer"))
@pytest.mark.parametrize("confidence", CONFIDENCES.values(), ids=list(CONFIDENCES))
def test_every_mixer(name, confidence):
    """Runs at any size, without a host synchronisation, leaves its inputs alone, and gives distributions."""
    x, given = images(len(confidence)), labels(confidence)
    before = [t.clone() for t in (x, given.target, given.weight, given.confidence)]
    mixer = part("mixer", name, setup())
    for index in range(4):
        step = Step(index, 20, 7)
        with no_sync():
            found = mixer.mix(x, given, step)
        m = len(found.images)
        assert m >= len(x)
        assert found.images.shape[1:] == x.shape[1:]
        assert found.images.dtype == torch.float32
        assert found.labels.target.shape == (m, CLASSES)
        assert found.labels.weight.shape == found.labels.confidence.shape == (m,)
        assert found.labels.target.sum(1).tolist() == pytest.approx([1.0] * m)
        assert (found.labels.target >= 0).all()
        assert ((found.labels.weight >= 0) & (found.labels.weight <= 1)).all()
        again = mixer.mix(x, given, step)
        assert again.images.equal(found.images)  # a function of its inputs and the step
        assert again.labels.target.equal(found.labels.target)
    for tensor, was in zip((x, given.target, given.weight, given.confidence), before, strict=True):
        assert tensor.equal(was)


@pytest.mark.parametrize("name", sorted(set(built_in("mixer")) - {"none"}))
def test_every_mixer_draws_anew_at_every_step_and_micro_batch(name):
    x, given = images(8), labels([0.9] * 8)
    mixer = part("mixer", name, setup())
    steps = [Step(0, 9, 0), Step(1, 9, 0), Step(0, 9, 1), Step(0, 9, 0, micro=1)]
    first, *others = [mixer.mix(x, given, step).images for step in steps]
    assert not any(first.equal(other) for other in others)


@pytest.mark.parametrize(("name", "wrong"), [("prob_pseudo", {"cutmix": 1.1}), ("pseudo", {"switch": -0.1}),
                                             ("pseudo_plus", {"alpha": 0.0}), ("mixup", {"alpha": 0.0})])  # fmt: skip
def test_options_out_of_range_are_refused(name, wrong):
    with pytest.raises(UserError, match=f"mixer.{next(iter(wrong))}"):
        part("mixer", name, setup(), **wrong)
