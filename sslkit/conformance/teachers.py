"""What every teacher keeps."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sslkit.conformance import Check, expect, tiny
from sslkit.conformance.guard import no_waiting_at_all
from sslkit.contracts import Teacher
from sslkit.network import Classifier, Output
from sslkit.randomness import Step

Kind = type[Teacher]
IMAGES = 6


def made(cls: Kind, norm: str = "layer", classes: int = tiny.CLASSES) -> tuple[Teacher, Classifier]:
    student = tiny.network(classes, norm)
    teacher: Teacher = cls(tiny.setup(student, classes))
    return teacher, student.train()


def predict(teacher: Teacher, student: Classifier, n: int = IMAGES, at: int = 3) -> Output:
    return teacher.predict(student, tiny.images(n, at), Step(at, tiny.STEP.total, tiny.STEP.seed))


def moved(student: Classifier, number: int) -> None:
    """The student as after a step of training."""
    with torch.no_grad():
        for parameter in student.parameters():
            draw = torch.Generator().manual_seed(number)
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=draw))


def right_shapes(cls: Kind) -> None:
    """Its output is detached float32: logits (N, C), features (N, D); one image will do."""
    for norm in ("layer", "batch"):
        for n in (IMAGES, 1):
            output = predict(*made(cls, norm), n)
            for name, width in (("logits", tiny.CLASSES), ("features", tiny.WIDTH)):
                value = getattr(output, name)
                expect(tuple(value.shape) == (n, width), f"{name} have the shape {tuple(value.shape)}")
                expect(value.dtype == torch.float32, f"{name} are {value.dtype}")
                expect(bool(value.isfinite().all()), f"{name} are not finite")
                expect(not value.requires_grad, f"{name} are not detached")


def repeatable(cls: Kind) -> None:
    """The same networks, images and step give the same output to the bit, whatever generators hold."""
    found = []
    for seed in (1, 2):
        parts = made(cls)
        torch.manual_seed(seed)
        found.append(predict(*parts).logits)
    expect(torch.equal(*found), "the logits differ")


def leaves_the_student(cls: Kind) -> None:
    """The student's weights stay, it has no gradient, and it is in training mode afterwards."""
    teacher, student = made(cls, "batch")
    before = {name: p.detach().clone() for name, p in student.named_parameters()}
    predict(teacher, student)
    teacher.update(student, tiny.STEP)
    for name, parameter in student.named_parameters():
        expect(torch.equal(parameter, before[name]), f"{name} of the student is changed")
        expect(parameter.grad is None, f"{name} of the student has a gradient")
    wrong = [name or "itself" for name, module in student.named_modules() if not module.training]
    expect(not wrong, f"of the student {wrong[:1]} is left in evaluation mode")
    expect(torch.is_grad_enabled(), "gradients are switched off")


def networks_are_its_own(cls: Kind) -> None:
    """Networks that it offers for evaluation are not the student, need no gradient, and are in evaluation mode."""
    teacher, student = made(cls, "batch")
    predict(teacher, student)
    for name, network in teacher.networks().items():
        shared = {id(p) for p in network.parameters()} & {id(p) for p in student.parameters()}
        expect(not shared, f"the network {name!r} shares parameters with the student")
        expect(not any(p.requires_grad for p in network.parameters()), f"the network {name!r} needs gradients")
        expect(not any(m.training for m in network.modules()), f"the network {name!r} is in training mode")
    kept = [n for n, p in teacher.named_parameters() if p.requires_grad]
    expect(not kept, f"{kept[:1]} of the teacher would be trained with the student")


def goes_on(cls: Kind) -> None:
    """Stored after three updates and loaded into a new one, it predicts as if it had never stopped, to the bit."""
    found = []
    for stop in (6, 3):
        teacher, student = made(cls)
        for number in range(6):
            if number == stop:
                stored, (teacher, _) = tiny.state(teacher), made(cls)
                teacher.load_state_dict(stored)
            moved(student, number)
            teacher.update(student, Step(number, tiny.STEP.total, tiny.STEP.seed))
        found.append(predict(teacher, student, at=7).logits)
    expect(torch.equal(*found), "the logits differ afterwards")


def no_waiting(cls: Kind) -> None:
    """It does not wait for the device: no `.item()`, no `if` on a tensor, no boolean index, no `nonzero`."""
    teacher, student = made(cls, "batch")
    teacher.update(student, tiny.STEP)
    with no_waiting_at_all():
        predict(teacher, student)
        teacher.update(student, tiny.STEP)


CHECKS: Sequence[Check] = (
    right_shapes, repeatable, leaves_the_student, networks_are_its_own, goes_on, no_waiting,
)  # fmt: skip
