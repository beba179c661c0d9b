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
from sslkit.contracts import Algorithm, Mixed, Mixer, PseudoLabels
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
    """Where labelled images have a `target`, by smoothing, mixing or weights of classes, a step learns from it."""
    given = tiny.batch(cls)
    x = given.get("labeled")
    if x is None or x.label is None:
        raise Skipped("it sees no labelled images")
    own, next_one = (one_hot((x.label + k) % tiny.CLASSES, tiny.CLASSES) for k in (0, 1))

    def after(target: Tensor | None) -> Tensor:
        algorithm = made(cls)
        batch = {**given, "labeled": replace(x, target=target)}
        algorithm.train_step(tiny.Trainer(algorithm), [batch], [tiny.STEP])
        return torch.cat([p.detach().flatten() for p in algorithm.parameters()])

    labels, ones, mixed = after(None), after(own), after(0.6 * own + 0.4 * next_one)
    expect(torch.allclose(labels, ones, atol=1e-5), "one-hot targets lead to other weights than labels")
    expect(not torch.allclose(ones, mixed, atol=1e-6), "another target leads to the same weights; compare with `x.y`")


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
