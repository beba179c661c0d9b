"""What holds for every algorithm, and for every combination of parts."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
import torch

from sslkit import registry
from sslkit.backbones.vit_micro import ViTMicro
from sslkit.config.resolve import options
from sslkit.conformance.guard import no_sync
from sslkit.contracts import Algorithm, Losses, Mixed, Mixer, PseudoLabels
from sslkit.errors import UserError
from sslkit.losses import cross_entropy
from sslkit.randomness import Step
from sslkit.training.engine import Engine
from sslkit.training.log import Log
from tests.algorithms.make import (
    CLASSES,
    STEP,
    Small,
    Trainer,
    algorithm,
    batch,
    built_in,
    gradient,
    images,
    job,
    network,
    seen_as,
    setup,
    stepping,
)

COMBINATIONS = [*itertools.product(*map(built_in, ("teacher", "labeler", "mixer")))]
ALGORITHMS = stepping()
OTHER = {"supervised", "mixmatch", "remixmatch", "defixmatch", "abc", "udal", "adello", "saw", "acr", "simpro", "cossl"}
OTHER |= {"vpet", "dho", "crest", "finessl", "meta_pseudo_labels", "prediction_powered", "openmatch", "iomatch"}
OTHER |= {"ssb", "prosub"}
REJECTING = ("fixmatch", "flexmatch", "ema_teacher", "uda")  # no image counts that misses tau


def gradients(made: Algorithm, **sizes: int) -> tuple[Losses, dict[str, torch.Tensor]]:
    made.zero_grad()
    losses = made(batch(type(made), **sizes), STEP)
    losses.total.backward()
    return losses, {n: gradient(p) for n, p in made.student.named_parameters()}


def check_step(made: Algorithm, **sizes: int) -> Losses:
    """One finite step without a host synchronisation; inputs stay, and no teacher gets a gradient."""
    made.zero_grad()
    given = batch(type(made), **sizes)
    before = [v.clone() for stream in given.values() for v in stream.views.values()]
    trainer = Trainer(made)
    with no_sync():
        (losses,) = made.train_step(trainer, [given], [STEP])
    assert all(term.isfinite() and term.ndim == 0 for term in losses.terms.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.student.parameters())
    assert all(v.equal(was) for v, was in zip(_views(given), before, strict=True))
    for net in made.networks().values():
        if net is not made.student:
            assert all(p.grad is None for p in net.parameters())
            assert not any(module.training for module in net.modules())
    assert made.student.training
    if losses.labels is not None:
        labels = losses.labels
        told = (labels.target, labels.weight, labels.confidence, *labels.memory.values())
        assert not any(value.requires_grad for value in told)
        assert losses.labels.target.sum(1).tolist() == pytest.approx([1.0] * len(losses.labels.weight))
    return losses


def _views(given: object) -> list[torch.Tensor]:
    return [v for stream in given.values() for v in stream.views.values()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("teacher", "labeler", "mixer"), COMBINATIONS)
@pytest.mark.parametrize("unlabeled", [1, 5])
def test_every_combination_makes_a_step(teacher, labeler, mixer, unlabeled):
    made = algorithm("fixmatch", setup(), {"teacher": teacher, "labeler": labeler, "mixer": mixer, "labeler.tau": 0.5})
    assert set(check_step(made, unlabeled=unlabeled).terms) == {"supervised", "unlabeled"}


@pytest.mark.parametrize("backbone", ["vit", "wrn"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_makes_a_step(name, backbone):
    check_step(algorithm(name, setup(network(backbone))))


@pytest.mark.parametrize("labeler", built_in("labeler"))
def test_a_joint_step_is_a_step(labeler):
    check_step(algorithm("fixmatch", setup(network("wrn")), {"algo.joint": True, "labeler": labeler}))


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_with_nothing_kept(name, skip):
    """The loss and the gradient are finite, and those of the labelled images alone."""
    made = algorithm(name, setup(skip_rejected=skip), {"labeler.tau": 1.0})
    if name == "flexmatch":
        labeler: Any = made.labeler
        pool = torch.arange(len(labeler.learned.seen))
        labeler.learned.update(pool, pool % CLASSES)  # every class is learned
    losses, found = gradients(made)
    assert all(grad.isfinite().all() for grad in found.values())
    if name in REJECTING:
        assert losses.terms["unlabeled"].item() == 0
        x = batch(type(made))["labeled"]
        made.zero_grad()
        cross_entropy(made.student(x["weak"]), x.y).backward()
        for parameter, p in made.student.named_parameters():
            torch.testing.assert_close(found[parameter], p.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("teacher", "labeler", "mixer"), COMBINATIONS)
def test_skipping_rejected_images_changes_nothing(teacher, labeler, mixer):
    request = {"teacher": teacher, "labeler": labeler, "mixer": mixer, "labeler.tau": 0.5, "algo.lambda_u": 2.0}
    (losses, full), (fewer, skipped) = (
        gradients(algorithm("fixmatch", setup(network(), skip_rejected=skip), request), unlabeled=9)
        for skip in (False, True)
    )
    for name, term in losses.terms.items():
        assert fewer.terms[name].item() == pytest.approx(term.item(), rel=1e-5)
    for name, grad in full.items():
        torch.testing.assert_close(skipped[name], grad, rtol=1e-4, atol=1e-6)


def test_skipping_shows_the_student_the_kept_images_alone():
    student = network()
    sizes = []
    student.register_forward_hook(lambda module, given, out: sizes.append(len(given[0])))
    made = algorithm("fixmatch", setup(student, skip_rejected=True), {"labeler.tau": 0.6})
    losses = made(batch(type(made), labeled=3, unlabeled=20), STEP)
    assert sizes == [20, 3, int(losses.labels.weight.sum())]
    assert sizes[2] < 20


class Twice(Mixer):
    """Appends the images once more, with half the weight."""

    def mix(self, images, labels, step):
        weight = torch.cat([labels.weight, labels.weight / 2])
        target, confidence = (torch.cat([x, x]) for x in (labels.target, labels.confidence))
        return Mixed(torch.cat([images, images]), PseudoLabels(target, weight, confidence))


def test_a_mixer_may_append_and_the_normaliser_stays():
    plain, appending = (algorithm("fixmatch", setup(network()), {"labeler.tau": 0.5}) for _ in range(2))
    appending.mixer = Twice()
    (losses, _), (more, _) = gradients(plain), gradients(appending)
    assert more.terms["unlabeled"].item() == pytest.approx(1.5 * losses.terms["unlabeled"].item(), rel=1e-5)


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - OTHER))
def test_without_the_unlabelled_term_an_algorithm_is_supervised(name, tmp_path, monkeypatch):
    """Same weights, to the bit, with stochastic depth: draws are shared. OTHER do more with labels than supervised."""
    known = options(registry.load("algorithm", name))
    weight = {f"algo.{key}": 0.0 for key in known if key.startswith("lambda_") or key in ("weight", "entropy")}
    monkeypatch.setattr(ViTMicro, "width", Small.width)
    ended = []
    for request, label in (({"algo": name, **weight}, "semi"), ({"algo": name}, "finetune+")):
        made = job({"backbone.drop_path": 0.2, "semi.steps": 3, "control.lr": "auto", **request}, label)
        engine = Engine(made, tmp_path)
        made.algorithm.train()
        for index in range(3):
            engine.step(index, cast("Log", Unread()))
        ended.append(made.algorithm.student.state_dict())
    assert all(value.equal(ended[0][key]) for key, value in ended[1].items())


class Unread:
    def add(self, *values: object) -> None: ...


def test_the_learning_rate_does_not_depend_on_mu(tmp_path):
    rates = []
    for mu in (1, 5):
        engine = Engine(job({"algo": "fixmatch", "semi.mu": mu}), tmp_path)
        engine.step(2, cast("Log", Unread()))
        rates.append([group["lr"] for group in engine.optimizers["main"].param_groups])
    assert rates[0] == rates[1]


def test_teacher_is_the_student_at_decay_zero_and_stays_at_one():
    for decay in (0.0, 1.0):
        made = algorithm("ema_teacher", setup(network(), averaged=network(seed=1)), {"teacher.decay": decay})
        before = [p.clone() for p in made.networks()["teacher"].parameters()]
        made.train_step(Trainer(made), [batch(type(made))], [STEP])
        after = made.networks()["teacher"].parameters()
        expected = before if decay else made.student.parameters()
        assert all(p.equal(q) for p, q in zip(after, expected, strict=True))


def test_labels_come_from_the_teacher_as_it_was_before_the_step():
    made = algorithm("ema_teacher", setup(network(), averaged=network(seed=1)))
    given = batch(type(made))
    expected = made.networks()["teacher"](given["unlabeled"]["weak"]).p.max(1)
    (losses,) = made.train_step(Trainer(made), [given], [STEP])
    assert losses.labels is not None
    assert losses.labels.confidence.equal(expected.values)
    assert losses.labels.target.argmax(1).equal(expected.indices)


def test_mean_teacher_has_something_to_learn_after_one_step():
    made = algorithm("mean_teacher", setup(network(), averaged=network(seed=1)))
    for index, positive in ((0, False), (1, True)):  # the ramp begins at 0
        (losses,) = made.train_step(Trainer(made), [batch(type(made))], [Step(index, 20, 0)])
        assert (losses.terms["consistency"].item() > 0) == positive


def test_mean_teacher_without_difference_is_zero():
    """Equal networks, equal views: only an own view of each makes the term."""
    student = network()
    made = algorithm("mean_teacher", setup(student, averaged=student))
    given = batch(type(made))
    given = seen_as(given, {"weak2": given["unlabeled"]["weak"]})
    assert made(given, STEP).terms["consistency"].item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("teacher", built_in("teacher"))
def test_mean_teacher_moves_the_statistics_by_labelled_images_alone(teacher):
    moved = []
    for seed in (0, 1):
        student = network("wrn")
        made = algorithm("mean_teacher", setup(student), {"teacher": teacher})
        given = seen_as(batch(type(made)), {name: images(6, seed=seed + 5) for name in ("weak", "weak2")})
        made(given, STEP)
        moved.append({name: buffer.clone() for name, buffer in student.named_buffers()})
    assert all(value.equal(moved[1][name]) for name, value in moved[0].items())
    assert all(value == 1 for name, value in moved[0].items() if name.endswith("num_batches_tracked"))


@pytest.mark.parametrize("backbone", ["vit", "wrn"])
def test_a_joint_step_equals_a_separate_one_where_no_statistic_couples(backbone):
    found = []
    for joint in (False, True):
        made = algorithm("fixmatch", setup(network(backbone)), {"algo.joint": joint, "labeler.tau": 0.25})
        found.append(gradients(made))
    (apart, one), (together, other) = found
    close = [torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-6) for name in one]
    if backbone == "vit":
        assert all(close)
        assert apart.total.item() == pytest.approx(together.total.item(), rel=1e-5)
    else:
        assert not all(close)


@pytest.mark.parametrize("request_", [{"teacher": "ema"}, {"teacher.mode": "eval"}, {"mixer": "prob_pseudo"}])
def test_a_joint_step_is_refused_where_it_cannot_be(request_):
    with pytest.raises(UserError, match=r"algo\.joint"):
        algorithm("fixmatch", setup(), {"algo.joint": True, **request_})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("fixmatch", {"algo.lambda_u": -1.0}),
        ("mean_teacher", {"algo.weight": -1.0}),
        ("mean_teacher", {"algo.ramp": 2}),
    ],
)
def test_options_out_of_range_are_refused(name, wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        algorithm(name, setup(), wrong)


@pytest.mark.parametrize("kind", ["algorithm", "teacher", "labeler", "mixer", "backbone"])
def test_every_part_says_what_it_is_and_where_it_is_from(kind):
    for entry in registry.entries(kind):
        if entry.origin == "built in":
            assert entry.description.endswith(".")
            assert entry.paper or entry.name in ("none", "supervised", "timm")


def test_a_step_of_two_micro_batches_is_the_mean_of_both():
    made = algorithm("fixmatch", setup(network()), {"labeler.tau": 0.5})
    given = [batch(type(made), seed=k) for k in range(2)]
    steps = [STEP, STEP.at(1)]
    expected = []
    for one, step in zip(given, steps, strict=True):
        made.zero_grad()
        made(one, step).total.backward()
        expected.append([gradient(p).clone() for p in made.student.parameters()])
    made.zero_grad()
    made.train_step(Trainer(made), given, steps)
    for p, one, other in zip(made.student.parameters(), *expected, strict=True):
        torch.testing.assert_close(p.grad, (one + other) / 2, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["fixmatch", "ema_teacher"])
def test_burn_in_learns_from_labels_alone_at_first(name: str) -> None:
    given = batch(registry.load("algorithm", name))
    made = algorithm(name, setup(), {"algo.burn_in": 0.25, "labeler.tau": 0.0})
    terms = [made(given, Step(i, 20, 11)).terms for i in (0, 4, 5, 19)]
    assert [float(t["unlabeled"].detach()) > 0 for t in terms] == [False, False, True, True]
    assert all(float(t["supervised"].detach()) > 0 for t in terms)
