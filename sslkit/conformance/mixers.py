"""What every mixer keeps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.conformance import Check, expect, tiny
from sslkit.conformance.guard import no_waiting_at_all
from sslkit.conformance.labels import expect_labels
from sslkit.contracts import Mixed, Mixer, PseudoLabels

Kind = type[Mixer]
IMAGES = 7


def made(cls: Kind, classes: int = tiny.CLASSES) -> Mixer:
    mixer: Mixer = cls(tiny.setup(tiny.network(classes), classes))
    return mixer


def labels(n: int, classes: int = tiny.CLASSES, weight: float | None = None) -> PseudoLabels:
    """Soft labels of n images, half of them kept, or all of one weight."""
    draw = torch.Generator().manual_seed(n)
    target = (3 * torch.randn(n, classes, generator=draw)).softmax(1)
    confidence = target.amax(1)
    kept = (torch.arange(n) % 2).float() if weight is None else torch.full((n,), weight)
    return PseudoLabels(target, kept, confidence)


def mixed(cls: Kind, n: int = IMAGES, classes: int = tiny.CLASSES, weight: float | None = None) -> Mixed:
    return made(cls, classes).mix(tiny.images(n), labels(n, classes, weight), tiny.STEP)


def right_shapes(cls: Kind) -> None:
    """As many images as labels come out, and no fewer than went in; rows of targets sum to 1, weights are from 0."""
    for n, classes in ((IMAGES, tiny.CLASSES), (8, 2), (8, 100)):
        found = mixed(cls, n, classes)
        m = len(found.images)
        expect(m >= n, f"{n} images go in, {m} come out")
        expect(
            found.images.shape[1:] == (3, tiny.SIZE, tiny.SIZE), f"images have the shape {tuple(found.images.shape)}"
        )
        expect(found.images.dtype == torch.float32, f"images are {found.images.dtype}")
        expect(bool(found.images.isfinite().all()), "images are not finite")
        expect_labels(found.labels, m, classes)


def one_image(cls: Kind) -> None:
    """One image will do, and images that are not square."""
    expect_labels(mixed(cls, 1).labels, len(mixed(cls, 1).images), tiny.CLASSES)
    wide = torch.randn(4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    found = made(cls).mix(wide, labels(4), tiny.STEP)
    expect(found.images.shape[1:] == wide.shape[1:], f"images of 8 x 12 come out as {tuple(found.images.shape[2:])}")


def inputs_stay(cls: Kind) -> None:
    """Images and labels that go in are not changed."""
    given, told = tiny.images(IMAGES), labels(IMAGES)
    made(cls).mix(given, told, tiny.STEP)
    expect(torch.equal(given, tiny.images(IMAGES)), "the images are changed")
    for name in ("target", "weight", "confidence"):
        expect(torch.equal(getattr(told, name), getattr(labels(IMAGES), name)), f"{name} is changed")


def repeatable(cls: Kind) -> None:
    """The same step gives the same images and labels to the bit, whatever generators hold."""
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(mixed(cls))
    expect(torch.equal(found[0].images, found[1].images), "the images differ")
    for name in ("target", "weight", "confidence"):
        one, other = (getattr(f.labels, name) for f in found)
        expect(torch.equal(one, other), f"{name} differs")


def rejected_stay_rejected(cls: Kind) -> None:
    """Where no image has a weight, none has one afterwards."""
    weight = mixed(cls, weight=0.0).labels.weight
    expect(not weight.any(), f"a weight is {weight.max().item():.6g}")


def no_waiting(cls: Kind) -> None:
    """It does not wait for the device: no `.item()`, no `if` on a tensor, no boolean index, no `nonzero`."""
    mixer, given, told = made(cls), tiny.images(IMAGES), labels(IMAGES)
    mixer.mix(given, told, tiny.STEP)
    with no_waiting_at_all():
        mixer.mix(given, told, tiny.STEP)


def says_whether_it_changes(cls: Kind) -> None:
    """Where it is `joinable` images and labels come out as they went in."""
    mixer, given, told = made(cls), tiny.images(IMAGES), labels(IMAGES)
    if mixer.joinable:
        found = mixer.mix(given, told, tiny.STEP)
        same: list[tuple[Tensor, Tensor]] = [(found.images, given), (found.labels.target, told.target)]
        expect(all(torch.equal(a, b) for a, b in same), "they come out otherwise")


CHECKS: Sequence[Check] = (
    right_shapes, one_image, inputs_stay, repeatable, rejected_stay_rejected, no_waiting, says_whether_it_changes,
)  # fmt: skip
