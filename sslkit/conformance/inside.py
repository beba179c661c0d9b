"""How an algorithm deals with its parts, with targets and with networks that are not its student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sslkit.conformance import Check, Skipped, expect, tiny
from sslkit.conformance.labels import expect_labels
from sslkit.conformance.tiny import forward, made
from sslkit.contracts import Algorithm, Losses, Mixed, Mixer, PseudoLabels
from sslkit.errors import UserError
from sslkit.losses import one_hot
from sslkit.randomness import Step

Kind = type[Algorithm]


def other_networks_predict_for_themselves(cls: Kind) -> None:
    """What `predict` gives for a network does not change with the student's weights, or others that train with it."""
    algorithm = made(cls).eval()
    network = algorithm.student.twin().eval()
    images = tiny.images(6, seed=5)
    with torch.no_grad():
        before = algorithm.predict(network, images)
        for parameter in algorithm.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)
        expect(torch.equal(before, algorithm.predict(network, images)), "it does: another network is judged by them")


def heeds_targets(cls: Kind) -> None:
    """Where labelled images have a `target`, by smoothing, mixing or weights of classes, the loss is of the target."""
    given, found = tiny.batch(cls), []
    x = given.get("labeled")
    if x is None or x.label is None:
        raise Skipped("it sees no labelled images")
    own, next_one = (one_hot((x.label + k) % tiny.CLASSES, tiny.CLASSES) for k in (0, 1))
    for share in (1.0, 0.6):  # of the label in the target
        target = share * own + (1 - share) * next_one
        losses: Losses = made(cls)({**given, "labeled": replace(x, target=target)}, tiny.STEP)
        found.append(losses.total.item())
    plain = made(cls)(given, tiny.STEP).total.item()
    near = abs(plain - found[0]) < 1e-4 * max(1, abs(plain))
    expect(near, f"one-hot targets give the loss {found[0]:.6g}, labels {plain:.6g}")
    expect(abs(found[1] - found[0]) > 1e-6, "another target gives the same loss; compare with `x.y`")


class Twice(Mixer):
    """Appends the images once more, the other way round."""

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        target, weight, confidence = (
            torch.cat([x, x.flip(0)]) for x in (labels.target, labels.weight, labels.confidence)
        )
        return Mixed(torch.cat([images, images.flip(0)]), PseudoLabels(target, weight, confidence))


def labels_are_those_before_mixing(cls: Kind) -> None:
    """With a mixer that appends images, the pseudo-labels that the engine is given are still those before it."""
    if "mixer" not in cls.slots:
        raise Skipped("it has no mixer")
    try:
        algorithm = tiny.algorithm(cls, tiny.setup(tiny.network()), {"mixer": lambda _: Twice()})
    except UserError as error:
        raise Skipped(f"it takes no mixer: {error}") from None
    losses = forward(algorithm)
    if losses.labels is not None:
        expect_labels(losses.labels, tiny.UNLABELED, tiny.CLASSES)


def parts_are_told(cls: Kind) -> None:
    """After every step its teacher and its labeler are told, the labeler with the labels of the whole batch."""
    algorithm, told = made(cls), {"teacher": 0, "labeler": 0}
    for slot in told.keys() & cls.slots.keys():
        part: Any = getattr(algorithm, slot)
        own = part.update

        def update(*arguments: Any, slot: str = slot, own: Any = own) -> None:
            told[slot] += 1 if slot == "teacher" else len(arguments[0].weight)
            own(*arguments)

        part.update = update
    tiny.steps(algorithm, range(2))
    wanted = {"teacher": 2, "labeler": 2 * tiny.UNLABELED}
    for slot in told.keys() & cls.slots.keys():
        what = "times" if slot == "teacher" else "labels"
        expect(told[slot] == wanted[slot], f"in two steps its {slot} is told {told[slot]} {what}, not {wanted[slot]}")


CHECKS: Sequence[Check] = (
    other_networks_predict_for_themselves, heeds_targets, labels_are_those_before_mixing, parts_are_told,
)  # fmt: skip
