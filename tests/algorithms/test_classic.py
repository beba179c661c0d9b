"""The classic methods: three images each by hand, the papers' equations in float64, and what must hold for them."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import registry
from sslkit.backbones.wrn_10_1 import WRN10x1
from sslkit.config.resolve import options
from sslkit.contracts import Mixed, Mixer, PseudoLabels, Stream
from sslkit.errors import UserError
from sslkit.network import Classifier, Output, Shape
from sslkit.randomness import Step
from tests.algorithms import classic
from tests.algorithms.make import (
    SIZE,
    STEP,
    Small,
    Trainer,
    algorithm,
    batch,
    gradient,
    images,
    network,
    seen_as,
    setup,
)

NAMES = sorted(classic.METHODS)
RAMP = 3 / (0.4 * 20)  # at STEP


class Scale(Classifier):
    """Logits are the three numbers of an image of one pixel, times one parameter: an image log p is predicted as p."""

    feature_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Output:
        return Output(images.flatten(1) * self.scale, images.flatten(1))


class Quarter(Mixer):
    """Each image with a quarter of the one at the mirrored place."""

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        target = 0.75 * labels.target + 0.25 * labels.target.flip(0)
        return Mixed(0.75 * images + 0.25 * images.flip(0), replace(labels, target=target))


def shown(*rows: tuple[float, float, float]) -> Tensor:
    """Images that `Scale` predicts these probabilities for."""
    return torch.tensor(rows).log()[:, :, None, None]


def by_hand(name: str, request: dict[str, Any] | None = None, step: Step = STEP, **views: Tensor) -> Any:
    """Terms of one forward of `Scale`, and the gradient by its parameter of all but the supervised one."""
    made: Any = algorithm(name, setup(Scale(), averaged=Scale(), classes=3), request)
    if hasattr(made, "mixer"):
        made.mixer = Quarter()
    n = len(next(iter(views.values())))
    x = Stream({"weak": shown((0.5, 0.25, 0.25))}, torch.arange(1), torch.tensor([0]))
    terms = made({"labeled": x, "unlabeled": Stream(views, torch.arange(n))}, step).terms
    rest = torch.stack([term for key, term in terms.items() if key != "supervised"]).sum()
    (slope,) = torch.autograd.grad(rest, made.student.scale)
    return {key: term.item() for key, term in terms.items()}, slope.item()


def test_pseudo_label_by_hand():
    """The second image is rejected; -ln 0.96 = 0.040822, -ln 0.97 = 0.030459, divided by all three."""
    terms, slope = by_hand("pseudo_label", weak=shown((0.96, 0.03, 0.01), (0.5, 0.3, 0.2), (0.02, 0.01, 0.97)))
    assert terms["supervised"] == pytest.approx(0.693147, rel=1e-5)
    assert terms["unlabeled"] == pytest.approx(RAMP * (0.040822 + 0.030459) / 3, rel=1e-4)
    # d/ds of -log softmax(s log p)_y at s = 1 is sum_c p_c log p_c - log p_y
    assert slope == pytest.approx(RAMP * (-0.190438 + 0.040822 - 0.153837 + 0.030459) / 3, rel=1e-4)


def test_pi_model_by_hand():
    """Squares 0.01 + 0.01, 0.09 + 0.09 and none, over three images and three classes."""
    weak = shown((0.5, 0.3, 0.2), (0.2, 0.2, 0.6), (0.1, 0.8, 0.1))
    terms, slope = by_hand("pi_model", weak=weak, weak2=shown((0.6, 0.2, 0.2), (0.2, 0.5, 0.3), (0.1, 0.8, 0.1)))
    assert terms["consistency"] == pytest.approx(10 * RAMP * 0.2 / 9, rel=1e-5)
    # of the second view alone: 2 sum_c (b_c - a_c) b_c (log b_c - sum_k b_k log b_k) = 0.07910, 0.13233 and 0
    assert slope == pytest.approx(10 * RAMP * (0.07910 + 0.13233) / 9, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_vat_by_hand(seed):
    """Of two classes r is eps / sqrt 2 up at the one and down at the other: with eps = ln 3 / sqrt 2 odds times 3.

    KL((1/2, 1/2) || (3/4, 1/4)) = 0.143841; from odds of 3, KL(.. || (9/10, 1/10)) = 0.092332 upwards and
    KL(.. || (1/2, 1/2)) = 0.130812 downwards; entropies are 0.693147 and 0.562335.
    """
    step = Step(3, 20, seed)
    weak = shown((0.5, 0.5, 1e-30), (0.75, 0.25, 1e-30), (0.75, 0.25, 1e-30))
    terms, slope = by_hand("vat", {"algo.eps": math.log(3) / math.sqrt(2), "algo.xi": 1e-3}, step, weak=weak)
    u = step.uniform("vat.direction", 2, 3, 3, 1, 1, device=torch.device("cpu"))
    d = ((-2 * (1 - u[0]).log()).sqrt() * (2 * math.pi * u[1]).cos())[:, :, 0, 0]
    up = (d[:, 0] > d[:, 1]).tolist()
    divergence = 0.143841 + sum(0.092332 if rises else 0.130812 for rises in up[1:])
    assert terms["adversarial"] == pytest.approx(0.3 * RAMP * divergence / 3, rel=1e-3)
    assert terms["entropy"] == pytest.approx(0.06 * (0.693147 + 2 * 0.562335) / 3, rel=1e-4)
    # by the scale, with p and r constant: (q - p) . z; z is the moved log odds. Entropy: -p (1 - p) (log odds)^2
    moved = 0.25 * 1.098612 + sum(0.15 * 2.197225 if rises else 0.0 for rises in up[1:])
    assert slope == pytest.approx(0.3 * RAMP * moved / 3 - 0.06 * 2 * 0.1875 * 1.206949 / 3, rel=2e-3)


def test_ict_by_hand():
    """0.75 ln (8, 1, 1) + 0.25 ln (1, 1, 8) is (4.756828, 1, 1.681793) / 7.438621, the target (0.625, 0.1, 0.275)."""
    terms, slope = by_hand("ict", weak=shown((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)))
    off = [4.756828 / 7.438621 - 0.625, 1 / 7.438621 - 0.1, 1.681793 / 7.438621 - 0.275]  # twice; the middle is alone
    assert terms["consistency"] == pytest.approx(50 * RAMP * 2 * sum(d * d for d in off) / 9, rel=1e-4)
    # p_c (z_c - sum_k p_k z_k) = (0.28444, -0.14987, -0.13456) is the student's p by its scale
    slopes = [d * s for d, s in zip(off, (0.28444, -0.14987, -0.13456), strict=True)]
    assert slope == pytest.approx(50 * RAMP * 2 * 2 * sum(slopes) / 9, rel=1e-3)


def test_mixmatch_by_hand():
    """q = (0.4, 0.4, 0.2)^2 / 0.36 = (4/9, 4/9, 1/9); x and the second view mix, the first view stays as it is."""
    terms, _ = by_hand("mixmatch", weak=shown((0.6, 0.2, 0.2)), weak2=shown((0.2, 0.6, 0.2)))
    # x': (2^0.75, 3^0.25, 1) / 3.997867, its target (0.861111, 0.111111, 0.027778)
    expected = 0.861111 * -math.log(0.420673) + 0.111111 * -math.log(0.329194) + 0.027778 * -math.log(0.250133)
    assert terms["supervised"] == pytest.approx(expected, rel=1e-5)
    first = (0.6 - 4 / 9) ** 2 + (0.2 - 4 / 9) ** 2 + (0.2 - 1 / 9) ** 2
    # (2^0.25, 3^0.75, 1) / 4.468714, its target (0.583333, 0.333333, 0.083333)
    second = (0.266118 - 0.583333) ** 2 + (0.510104 - 0.333333) ** 2 + (0.223778 - 0.083333) ** 2
    assert terms["consistency"] == pytest.approx(100 * (first + second) / 6, rel=1e-4)


def small(backbone: str, classes: int, seed: int) -> Classifier:
    torch.manual_seed(seed)
    made: Classifier = {"vit": Small, "wrn": WRN10x1}[backbone](Shape(SIZE, classes))
    with torch.no_grad():
        made.classifier().weight *= 10 if backbone == "vit" else 2
    return made


@pytest.mark.parametrize(("labeled", "unlabeled", "classes"), [(1, 1, 2), (1, 1, 100), (4, 3, 2), (2, 5, 100)])
@pytest.mark.parametrize("backbone", ["vit", "wrn"])
@pytest.mark.parametrize("name", NAMES)
def test_terms_and_gradients_are_the_papers(name, backbone, labeled, unlabeled, classes):
    student, teacher = small(backbone, classes, 0), small(backbone, classes, 1)
    made = algorithm(name, setup(student, averaged=teacher, classes=classes), {"labeler.tau": 0.0})
    other = copy.deepcopy(student)
    cls = registry.load("algorithm", name)
    parts = {"algo": cls, **{slot: registry.load(slot, default) for slot, default in cls.slots.items()}}
    own = {section: {k: p.default for k, p in options(part).items()} for section, part in parts.items()}
    own |= {"labeler": {"tau": 0.0}}
    given = batch(cls, labeled, unlabeled)
    given = {**given, "labeled": replace(given["labeled"], label=torch.arange(labeled) % 2 * (classes - 1))}
    losses = made(given, STEP)
    losses.total.backward()
    expected = classic.METHODS[name](other, copy.deepcopy(teacher), own, given, STEP)
    torch.stack([*expected.values()]).sum().backward()
    rough = 1e-2 if name == "vat" else 1e-4  # float32 here; test_whole_step has float64
    assert list(losses.terms) == list(expected)
    for key, term in losses.terms.items():
        assert term.item() == pytest.approx(expected[key].item(), rel=rough, abs=1e-6)
    theirs = dict(other.named_parameters())
    near = rough * max(gradient(p).abs().max().item() for p in theirs.values())
    for key, p in student.named_parameters():
        torch.testing.assert_close(gradient(p), gradient(theirs[key]), rtol=0, atol=near)
    for key, buffer in student.named_buffers():
        torch.testing.assert_close(buffer, dict(other.named_buffers())[key])


def test_pi_model_of_equal_views_is_zero():
    made = algorithm("pi_model", setup())
    given = batch(type(made))
    given = seen_as(given, {"weak2": given["unlabeled"]["weak"]})
    assert made(given, STEP).terms["consistency"].item() == 0


def test_ict_of_equal_networks_and_hardly_mixed_images_is_zero():
    student = network()
    made = algorithm("ict", setup(student, averaged=student), {"mixer.alpha": 1e-6})
    assert made(batch(type(made)), STEP).terms["consistency"].item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"mixmatch"}))
def test_statistics_are_of_labelled_images_alone(name):
    moved = []
    for seed in (0, 1):
        student = network("wrn")
        made = algorithm(name, setup(student, averaged=network("wrn", seed=1)))
        made(seen_as(batch(type(made)), {view: images(6, seed=seed + 5) for view in made.views["unlabeled"]}), STEP)
        moved.append({key: buffer.clone() for key, buffer in student.named_buffers()})
    assert all(value.equal(moved[1][key]) for key, value in moved[0].items())
    assert all(value == 1 for key, value in moved[0].items() if key.endswith("num_batches_tracked"))


def test_mixmatch_moves_statistics_once_by_all_mixed_images():
    student = network("wrn")
    made = algorithm("mixmatch", setup(student), {"mixer": "none"})
    given = batch(type(made))
    twin = copy.deepcopy(student)
    made(given, STEP)
    twin(torch.cat([given["labeled"]["weak"], *given["unlabeled"].views.values()]))
    for key, buffer in student.named_buffers():
        assert buffer.equal(dict(twin.named_buffers())[key]), key


def test_mixmatch_without_a_mixer_is_supervised_by_the_targets_it_is_given():
    made = algorithm("mixmatch", setup(), {"mixer": "none"})
    given = batch(type(made))
    target = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))  # and weighed
    x = replace(given["labeled"], target=target)
    expected = F.cross_entropy(made.student(x["weak"]).logits, target)
    found = made({**given, "labeled": x}, STEP).terms["supervised"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_pseudo_labels_are_told_to_the_labeler():
    made: Any = algorithm("pseudo_label", setup(), {"labeler": "flexmatch", "labeler.tau": 0.0})
    before = made.labeler.learned.seen.clone()
    made.train_step(Trainer(made), [batch(type(made))], [STEP])
    assert (made.labeler.learned.seen != before).sum() == 6


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pseudo_label", {"algo.ramp": -0.1}),
        ("pi_model", {"algo.weight": -1.0}),
        ("vat", {"algo.entropy": -1.0}),
        ("vat", {"algo.ramp": 2}),
        ("vat", {"algo.xi": 0.0}),
        ("ict", {"algo.ramp": 2}),
        ("mixmatch", {"algo.temperature": 0.0}),
        ("mixmatch", {"algo.weight": -1.0}),
    ],
)
def test_options_out_of_range_are_refused(name, wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        algorithm(name, setup(), wrong)
