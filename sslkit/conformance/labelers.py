"""What every labeler keeps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.conformance import Check, expect, tiny
from sslkit.conformance.guard import no_waiting_at_all
from sslkit.conformance.labels import expect_labels
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Stream
from sslkit.network import Output
from sslkit.randomness import Step

Kind = type[PseudoLabeler]
IMAGES = 8


def made(cls: Kind, classes: int = tiny.CLASSES) -> PseudoLabeler:
    labeler: PseudoLabeler = cls(tiny.setup(tiny.network(classes), classes))
    return labeler


def outputs(n: int, classes: int, scale: float = 6.0, seed: int = 0) -> Output:
    """Outputs of which some are sure and some are not."""
    draw = torch.Generator().manual_seed(seed)
    sure = torch.rand(n, 1, generator=draw)
    logits = scale * sure * torch.randn(n, classes, generator=draw)
    return Output(logits, torch.randn(n, tiny.WIDTH, generator=draw))


def batch(n: int, labeled: int, classes: int, seed: int = 0) -> Batch:
    index = (torch.arange(n) + 3 * seed) % tiny.POOL
    views = {"weak": tiny.images(n), "strong": tiny.images(n, 1)}
    x = Stream({"weak": tiny.images(labeled, 2)}, torch.arange(labeled), torch.arange(labeled) % classes)
    return {"labeled": x, "unlabeled": Stream(views, index)}


def label(
    labeler: PseudoLabeler, n: int = IMAGES, classes: int = tiny.CLASSES, scale: float = 6.0, at: int = 3
) -> PseudoLabels:
    step = Step(at, tiny.STEP.total, tiny.STEP.seed)
    given = batch(n, tiny.LABELED, classes, at)
    return labeler.label(outputs(n, classes, scale, at), outputs(tiny.LABELED, classes, seed=at + 50), given, step)


def trained(labeler: PseudoLabeler, numbers: Sequence[int]) -> None:
    for number in numbers:
        index = batch(IMAGES, tiny.LABELED, tiny.CLASSES, number)["unlabeled"].index
        at = Step(number, tiny.STEP.total, tiny.STEP.seed)
        labeler.update(label(labeler, at=number), index, at)


def right_shapes(cls: Kind) -> None:
    """Labels are detached float32 of the right shapes, rows of targets sum to 1, weights are not below 0."""
    for n, classes in ((IMAGES, tiny.CLASSES), (1, tiny.CLASSES), (IMAGES, 2), (IMAGES, 100)):
        labeler = made(cls, classes)
        for _ in range(2):  # before and after it has learned something
            expect_labels(label(labeler, n, classes), n, classes)
            index = batch(n, tiny.LABELED, classes, 3)["unlabeled"].index
            labeler.update(label(labeler, n, classes), index, tiny.STEP)


def sure_and_even(cls: Kind) -> None:
    """Even predictions, and such of a probability that rounds to 1, give finite labels."""
    for scale in (0.0, 1e4):
        labels = label(made(cls), scale=scale)
        expect_labels(labels, IMAGES, tiny.CLASSES)


def repeatable(cls: Kind) -> None:
    """The same outputs give the same labels to the bit, whatever generators hold."""
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(label(made(cls)))
    for name in ("target", "weight", "confidence"):
        expect(torch.equal(*(getattr(labels, name) for labels in found)), f"{name} differs")


def learns_in_update_alone(cls: Kind) -> None:
    """`label` changes nothing that it remembers: that is for `update`, after the step."""
    labeler = made(cls)
    trained(labeler, [0, 1])
    before = tiny.state(labeler)
    label(labeler)
    for name, tensor in labeler.state_dict().items():
        expect(torch.equal(tensor, before[name]), f"`label` changes {name}")
    fleeting = dict(labeler.named_buffers()).keys() - before.keys()
    expect(not fleeting, f"{', '.join(fleeting)} is a buffer that is not stored, as with persistent=False")
    hidden = {name: value for name, value in vars(labeler).items() if isinstance(value, Tensor)}
    expect(not hidden, f"{', '.join(hidden)} is a tensor, and neither a parameter nor a buffer")


def goes_on(cls: Kind) -> None:
    """Stored after three updates and loaded into a new one, it labels as if it had never stopped, to the bit."""
    whole, first, second = made(cls), made(cls), made(cls)
    trained(whole, range(6))
    trained(first, range(3))
    second.load_state_dict(tiny.state(first))
    trained(second, range(3, 6))
    one, other = label(whole, at=7), label(second, at=7)
    for name in ("target", "weight", "confidence"):
        expect(torch.equal(getattr(one, name), getattr(other, name)), f"{name} differs afterwards")


def inputs_stay(cls: Kind) -> None:
    """Outputs that are given to `label`, and labels that are given to `update`, are not changed."""
    labeler, weak = made(cls), outputs(IMAGES, tiny.CLASSES)
    given = batch(IMAGES, tiny.LABELED, tiny.CLASSES)
    labels = labeler.label(weak, outputs(tiny.LABELED, tiny.CLASSES, seed=9), given, tiny.STEP)
    expect(torch.equal(weak.logits, outputs(IMAGES, tiny.CLASSES).logits), "`label` changes the logits")
    before = [labels.target.clone(), labels.weight.clone(), labels.confidence.clone()]
    labeler.update(labels, given["unlabeled"].index, tiny.STEP)
    same = zip(before, (labels.target, labels.weight, labels.confidence), strict=True)
    expect(all(torch.equal(a, b) for a, b in same), "`update` changes the labels")


def no_waiting(cls: Kind) -> None:
    """It does not wait for the device: no `.item()`, no `if` on a tensor, no boolean index, no `nonzero`."""
    labeler = made(cls)
    trained(labeler, [0])
    with no_waiting_at_all():
        trained(labeler, [1, 2])


CHECKS: Sequence[Check] = (
    right_shapes, sure_and_even, repeatable, learns_in_update_alone, goes_on, inputs_stay, no_waiting,
)  # fmt: skip
