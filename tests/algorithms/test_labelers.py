import itertools

import pytest
import torch

from sslkit.conformance.guard import no_sync
from sslkit.contracts import PseudoLabels, Stream
from sslkit.errors import UserError
from sslkit.network import Output
from tests.algorithms import reference
from tests.algorithms.make import CLASSES, STEP, built_in, part, setup


def output(n: int, seed: int = 0, scale: float = 3.0) -> Output:
    generator = torch.Generator().manual_seed(seed)
    return Output(scale * torch.randn(n, CLASSES, generator=generator), torch.zeros(n, 2))


def certain(label: list[int], confidence: list[float]) -> Output:
    """Logits whose softmax has the given confidence at the given class, the rest evenly."""
    p = torch.tensor([[o if c == y else (1 - o) / (CLASSES - 1) for c in range(CLASSES)]
                      for y, o in zip(label, confidence, strict=True)])  # fmt: skip
    return Output(p.log(), torch.zeros(len(label), 2))


def label(labeler, weak: Output) -> PseudoLabels:
    labeled = Stream({}, torch.arange(2), torch.arange(2))
    unlabeled = Stream({}, torch.arange(len(weak.logits)))
    return labeler.label(weak, output(2, seed=9), {"labeled": labeled, "unlabeled": unlabeled}, STEP)


@pytest.mark.parametrize(("n", "tau", "smoothing"), [*itertools.product([1, 2, 7], [0.0, 0.6, 1.0], [0.0, 0.1])])
def test_threshold_is_the_loop(n, tau, smoothing):
    weak = output(n)
    found = label(part("labeler", "threshold", setup(), tau=tau, smoothing=smoothing), weak)
    for i, logits in enumerate(weak.logits.tolist()):
        y, o = reference.guess(reference.softmax(logits))
        assert found.target[i].tolist() == pytest.approx(reference.smoothed(y, CLASSES, smoothing))
        assert found.weight[i] == (o >= tau)
        assert found.confidence[i] == pytest.approx(o)


def test_threshold_is_reached_not_passed():
    weak = output(1)
    exact = weak.p.max().item()
    assert label(part("labeler", "threshold", setup(), tau=exact), weak).weight.tolist() == [1.0]


@pytest.mark.parametrize(("warmup", "smoothing"), [*itertools.product([True, False], [0.0, 0.1])])
def test_flexmatch_is_the_loop(warmup, smoothing):
    """Forty steps over a pool of nine images, with the same image up to three times in a batch."""
    labeler = part("labeler", "flexmatch", setup(unlabeled=9), tau=0.7, warmup=warmup, smoothing=smoothing)
    loop = reference.Curriculum(9, CLASSES, 0.7, warmup)
    rejected = kept = 0
    for step in range(40):
        generator = torch.Generator().manual_seed(step)
        index = torch.randint(9, (5,), generator=generator)
        weak = output(5, seed=step, scale=2.0)
        found = label(labeler, weak)
        guesses = [reference.guess(reference.softmax(logits)) for logits in weak.logits.tolist()]
        for i, (y, o) in enumerate(guesses):
            assert found.weight[i] == (o >= loop.threshold(y))
            assert found.target[i].tolist() == pytest.approx(reference.smoothed(y, CLASSES, smoothing))
            assert found.confidence[i] == pytest.approx(o)
        labeler.update(found, index, STEP)
        loop.update(index.tolist(), [y for y, _ in guesses], [o for _, o in guesses])
        memory = [c if c < CLASSES else -1 for c in labeler.learned.seen.tolist()]
        assert memory == loop.memory
        expected = [loop.threshold(c) for c in range(CLASSES)]
        assert labeler.thresholds().tolist() == pytest.approx(expected)
        kept, rejected = kept + int(found.weight.sum()), rejected + int((found.weight == 0).sum())
    assert kept
    assert rejected  # else the loop above shows nothing


def test_flexmatch_keeps_the_last_confident_of_duplicates():
    labeler = part("labeler", "flexmatch", setup(unlabeled=3), tau=0.8)
    found = label(labeler, certain([0, 1, 2, 3], [0.9, 0.9, 0.5, 0.9]))
    labeler.update(found, torch.tensor([1, 1, 1, 0]), STEP)
    assert labeler.learned.seen.tolist() == [3, 1, CLASSES]


@pytest.mark.parametrize(("learned", "threshold"), [(0, 0.0), (2, 0.95 / 3), (3, 0.57), (4, 0.95)])
def test_flexmatch_thresholds_of_the_fact_sheet(learned, threshold):
    """beta 0, 1/2, 3/4 and 1 of class 1, while class 0 is learned by four images and four are not learned."""
    labeler = part("labeler", "flexmatch", setup(unlabeled=8 + learned), tau=0.95)
    labeler.learned.update(torch.arange(8 + learned), torch.tensor([0] * 4 + [CLASSES] * 4 + [1] * learned))
    assert labeler.thresholds()[1].item() == pytest.approx(threshold, abs=1e-4)


def test_flexmatch_unlearned_images_hold_thresholds_down_with_warmup():
    for warmup, expected in ((True, 0.95 * 0.25 / 1.75), (False, 0.95)):
        labeler = part("labeler", "flexmatch", setup(unlabeled=5), tau=0.95, warmup=warmup)
        labeler.learned.update(torch.tensor([0]), torch.tensor([0]))
        assert labeler.thresholds()[0].item() == pytest.approx(expected)


def test_flexmatch_passes_everything_at_first_and_learns_from_the_fixed_threshold_alone():
    labeler = part("labeler", "flexmatch", setup(unlabeled=4), tau=0.95)
    found = label(labeler, certain([0, 1, 2, 3], [0.94, 0.3, 0.96, 0.5]))
    assert found.weight.tolist() == [1.0] * 4
    labeler.update(found, torch.arange(4), STEP)
    assert labeler.learned.seen.tolist() == [CLASSES, CLASSES, 2, CLASSES]


def test_flexmatch_memory_is_saved_state():
    assert "learned.seen" in part("labeler", "flexmatch", setup()).state_dict()


@pytest.mark.parametrize("name", built_in("labeler"))
@pytest.mark.parametrize("n", [1, 2, 7])
def test_every_labeler(name, n):
    labeler = part("labeler", name, setup())
    weak = output(n)
    before = weak.logits.clone()
    with no_sync():
        found = label(labeler, weak)
        labeler.update(found, torch.arange(n), STEP)
        label(labeler, weak)
    assert weak.logits.equal(before)
    assert found.target.shape == (n, CLASSES)
    assert found.weight.shape == found.confidence.shape == (n,)
    assert found.target.sum(1).tolist() == pytest.approx([1.0] * n)
    assert (found.weight >= 0).all()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()


@pytest.mark.parametrize("name", ["threshold", "flexmatch"])
@pytest.mark.parametrize("wrong", [{"tau": 1.01}, {"tau": -0.1}, {"smoothing": 1.0}, {"smoothing": -0.1}])
def test_options_out_of_range_are_refused(name, wrong):
    with pytest.raises(UserError, match=f"labeler.{next(iter(wrong))}"):
        part("labeler", name, setup(), **wrong)
