"""What every pretrainer keeps: it learns from images alone, on a vision transformer whose head it leaves."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sslkit.conformance import Check, expect, steps, together
from sslkit.conformance.tiny import forward, images, made, patches
from sslkit.conformance.tiny import steps as train
from sslkit.contracts import Algorithm
from sslkit.network import PatchEncoder

Kind = type[Algorithm]


def no_labels(cls: Kind) -> None:
    """It asks for no stream of labelled images, and says that it trains no head."""
    asked = sorted({*cls.views} - {"all", "unlabeled"})
    expect(not asked, f"it asks for the stream {asked[:1]}, whose labels pre-training does not have")
    expect(any(cls.views.values()), "it asks for no view of an image")
    expect(not cls.classifies, "`classifies` is true, so its head, which learns nothing, would be evaluated")


def trunk_learns(cls: Kind) -> None:
    """Every weight of the patch projection and the blocks gets a gradient, which is not 0 everywhere, and trains."""
    algorithm = made(cls)
    forward(algorithm)
    student = algorithm.student
    assert isinstance(student, PatchEncoder), "made so"
    trained = {id(p) for module in algorithm.trainable().values() for p in module.parameters()}
    for module in student.trunk():
        for name, p in module.named_parameters():
            expect(p.grad is not None, f"{name} of the trunk gets no gradient")
            expect(id(p) in trained, f"{name} of the trunk is in none of `trainable`")
        squares = [p.grad.abs().sum() for p in module.parameters() if p.grad is not None]
        expect(float(torch.stack(squares).sum()) > 0, f"all gradients of {type(module).__name__} are 0")


def head_stays(cls: Kind) -> None:
    """After some steps the head of the student is as it was: the next stage starts it."""
    algorithm = made(cls)
    head = algorithm.student.classifier()
    before = {name: p.detach().clone() for name, p in head.named_parameters()}
    train(algorithm, range(2))
    for name, p in algorithm.student.classifier().named_parameters():
        expect(torch.equal(p, before[name]), f"{name} of the head is changed")


def all_sizes(cls: Kind) -> None:
    """One image will do, and seven; loss and gradients are finite."""
    for n in (1, 7):
        algorithm = made(cls)
        steps.expect_finite(algorithm, forward(algorithm, unlabeled=n), f", with {n} images")


def leaves_a_network(cls: Kind) -> None:
    """The student that it leaves is in training mode, has the names that it had, and predicts what is finite."""
    algorithm = made(cls)
    train(algorithm, range(2))
    student = algorithm.student
    wrong = [name or "itself" for name, module in student.named_modules() if not module.training]
    expect(not wrong, f"of the student {wrong[:1]} is not in training mode")
    strange = sorted({*student.state_dict()} ^ {*patches().state_dict()})
    expect(not strange, f"the student's {strange[:1]} is new, or gone, and the next stage could not take its weights")
    expect(torch.is_grad_enabled(), "gradients are switched off")
    with torch.no_grad():
        expect(bool(student.eval()(images(3)).logits.isfinite().all()), "its predictions are not finite")


CHECKS: Sequence[Check] = (
    no_labels, steps.terms, steps.repeatable, steps.inputs_stay, trunk_learns, head_stays, steps.learns, all_sizes,
    steps.half_precision, steps.no_waiting, steps.goes_on, leaves_a_network, together.processes_agree,
)  # fmt: skip
