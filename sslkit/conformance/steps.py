"""What every algorithm keeps that trains by steps, and what every method on frozen features keeps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.conformance import Check, expect, fitted, inside, tiny, together
from sslkit.conformance.guard import no_waiting_at_all
from sslkit.conformance.labels import expect_labels
from sslkit.conformance.tiny import forward, made
from sslkit.contracts import Algorithm, Losses
from sslkit.frozen import OnFeatures

Kind = type[Algorithm]


def gradients(algorithm: Algorithm) -> dict[str, Tensor | None]:
    return {name: p.grad for name, p in algorithm.named_parameters() if p.requires_grad}


def expect_finite(algorithm: Algorithm, losses: Losses, where: str = "") -> None:
    for name, term in losses.terms.items():
        expect(term.ndim == 0, f"the term {name!r} has the shape {tuple(term.shape)}{where}")
        expect(bool(term.isfinite()), f"the term {name!r} is {term.item()}{where}")
    for name, grad in gradients(algorithm).items():
        expect(grad is None or bool(grad.isfinite().all()), f"the gradient of {name} is not finite{where}")


def terms(cls: Kind) -> None:
    """A step gives named terms of the loss: finite scalars, float32, of which one at least has a gradient."""
    for norm in ("layer", "batch"):
        algorithm = made(cls, norm=norm)
        losses = forward(algorithm)
        expect(bool(losses.terms), "there is no term")
        for name, term in losses.terms.items():
            expect(term.dtype == torch.float32, f"the term {name!r} is {term.dtype}")
        expect_finite(algorithm, losses, f", with {norm} norm")


def pseudo_labels(cls: Kind) -> None:
    """Pseudo-labels that are given to the engine are of the unlabelled images, detached, and of the right shapes."""
    losses = forward(made(cls))
    if losses.labels is not None:
        expect_labels(losses.labels, tiny.UNLABELED, tiny.CLASSES)


def repeatable(cls: Kind) -> None:
    """The same weights, batch and step give the same loss and gradients to the bit, whatever generators hold."""
    found = []
    for seed in (1, 2):
        algorithm = made(cls)
        torch.manual_seed(seed)
        losses = forward(algorithm)
        found.append((losses.total.detach(), gradients(algorithm)))
    expect(torch.equal(found[0][0], found[1][0]), f"the loss is {found[0][0]:.9g}, then {found[1][0]:.9g}")
    for name, grad in found[0][1].items():
        other = found[1][1][name]
        same = grad is other is None or (grad is not None and other is not None and torch.equal(grad, other))
        expect(same, f"the gradient of {name} differs")


def inputs_stay(cls: Kind) -> None:
    """The images of a batch are not changed, and get no gradient."""
    algorithm, given = made(cls), tiny.batch(cls)
    before = {(s, v): images.clone() for s, stream in given.items() for v, images in stream.views.items()}
    algorithm(given, tiny.STEP).total.backward()
    for (stream, view), images in before.items():
        now = given[stream][view]
        expect(torch.equal(images, now), f"the view {view!r} of {stream} is changed")
        expect(not now.requires_grad, f"the view {view!r} of {stream} is given a gradient")


def gradients_belong(cls: Kind) -> None:
    """All of the student learns, and no other network that is evaluated does; none of them changes in `forward`."""
    algorithm = made(cls)
    others = {name: net for name, net in algorithm.networks().items() if net is not algorithm.student}
    student = {name: p.detach().clone() for name, p in algorithm.student.named_parameters()}
    before = {name: tiny.state(net) for name, net in others.items()}
    forward(algorithm)
    trained = {id(p) for module in algorithm.trainable().values() for p in module.parameters()}
    for name, p in algorithm.student.named_parameters():
        expect(p.grad is not None, f"{name} of the student gets no gradient")
        expect(id(p) in trained, f"{name} of the student is in none of `trainable`")
        expect(torch.equal(p, student[name]), f"{name} of the student is changed by `forward`")
    for name, net in others.items():
        expect(all(p.grad is None for p in net.parameters()), f"the network {name!r} gets a gradient")
        now = net.state_dict()
        expect(all(torch.equal(now[n], t) for n, t in before[name].items()), f"`forward` changes the network {name!r}")


def learns(cls: Kind) -> None:
    """After a step of descent on its loss, the loss of the same batch at the same step is smaller."""
    algorithm = made(cls)
    before = forward(algorithm).total.item()
    rate, squares = 1e-3, [g.square().sum() for g in gradients(algorithm).values() if g is not None]
    expect(float(torch.stack(squares).sum()) > 0, "no parameter has a gradient that is not zero")
    with torch.no_grad():
        length = torch.stack(squares).sum().sqrt()
        for p in algorithm.parameters():
            if p.grad is not None:
                p.sub_(rate * p.grad / length)
    after = forward(algorithm).total.item()
    expect(after < before, f"the loss goes from {before:.6g} to {after:.6g}")


def nothing_kept(cls: Kind) -> None:
    """Where no image is sure of its label, as predictions are even, loss and gradients are finite."""
    for norm in ("layer", "batch"):
        algorithm = made(cls, norm=norm)
        for network in {id(n): n for n in algorithm.networks().values()}.values():
            torch.nn.init.zeros_(network.classifier().weight)
            torch.nn.init.zeros_(network.classifier().bias)
        expect_finite(algorithm, forward(algorithm), ", with even predictions")


def all_sizes(cls: Kind) -> None:
    """One labelled and one unlabelled image will do, and 2 classes as well as 100."""
    for classes, labeled, unlabeled in ((tiny.CLASSES, 1, 1), (2, 4, 8), (100, 4, 8), (tiny.CLASSES, 3, 7)):
        algorithm = made(cls, classes)
        where = f", with {classes} classes and {labeled} + {unlabeled} images"
        losses = forward(algorithm, labeled=labeled, unlabeled=unlabeled, classes=classes)
        expect_finite(algorithm, losses, where)


def half_precision(cls: Kind) -> None:
    """Under bfloat16 the terms and pseudo-labels are still float32, and finite."""
    algorithm = made(cls)
    with torch.autocast("cpu", torch.bfloat16):
        losses: Losses = algorithm(tiny.batch(cls), tiny.STEP)
    for name, term in losses.terms.items():
        expect(term.dtype == torch.float32, f"the term {name!r} is {term.dtype}")
        expect(bool(term.isfinite()), f"the term {name!r} is {term.item()}")
    if losses.labels is not None:
        expect_labels(losses.labels, tiny.UNLABELED, tiny.CLASSES)


def no_waiting(cls: Kind) -> None:
    """A step does not wait for the device: no `.item()`, no `if` on a tensor, no boolean index, no `nonzero`."""
    algorithm = made(cls)
    trainer, given = tiny.Trainer(algorithm), tiny.batch(cls)
    algorithm.train_step(trainer, [given], [tiny.STEP])
    with no_waiting_at_all():
        algorithm.train_step(trainer, [given], [tiny.STEP])


def goes_on(cls: Kind) -> None:
    """Stopped after three steps and gone on with in a new process, it ends with the same weights, to the bit."""
    whole, first, second = made(cls), made(cls), made(cls)
    tiny.steps(whole, range(6))
    tiny.steps(first, range(3))
    second.load_state_dict(tiny.state(first))
    tiny.steps(second, range(3, 6))
    expect_same(tiny.state(whole), tiny.state(second))


def expect_same(whole: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, tensor in whole.items():
        same = torch.equal(tensor, other[name]) or bool(tensor.isnan().logical_and(other[name].isnan()).all())
        expect(same, f"{name} differs afterwards; what it remembers must be a parameter or a buffer")


def leaves_modes(cls: Kind) -> None:
    """After a step the student is in training mode, every other network is not, and gradients are on."""
    algorithm = made(cls)
    tiny.steps(algorithm, range(2))
    expect(torch.is_grad_enabled(), "gradients are switched off")
    for name, network in algorithm.networks().items():
        training = network is algorithm.student
        wrong = [n or "itself" for n, module in network.named_modules() if module.training is not training]
        expect(not wrong, f"of the network {name!r} {wrong[:1]} is {'not ' if training else ''}in training mode")


def test_time(cls: Kind) -> None:
    """`predict` gives float logits (N, C), those of an image whatever else is in its batch."""
    algorithm = made(cls, norm="batch").eval()
    network = algorithm.networks()["student"].eval()
    images = tiny.images(6, seed=5)
    with torch.no_grad():
        logits = algorithm.predict(network, images)
        alone = torch.cat([algorithm.predict(network, image[None]) for image in images])
    expect(tuple(logits.shape) == (6, tiny.CLASSES), f"logits have the shape {tuple(logits.shape)}")
    expect(bool(logits.isfinite().all()), "logits are not finite")
    expect(torch.allclose(logits, alone, atol=1e-4), "the logits of an image depend on the others of its batch")


CHECKS: Sequence[Check] = (
    terms, pseudo_labels, repeatable, inputs_stay, gradients_belong, learns, nothing_kept, all_sizes, half_precision,
    no_waiting, goes_on, leaves_modes, test_time, *inside.CHECKS, together.processes_agree,
)  # fmt: skip


def checks(cls: Kind, _: str) -> Sequence[Check]:
    return fitted.CHECKS if issubclass(cls, OnFeatures) else CHECKS
