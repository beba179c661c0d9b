"""A network of two layers in float64, and the comparison of a method with its equations written out as loops."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sslkit import registry
from sslkit.contracts import Batch, Losses, Mixed, Mixer, PseudoLabels, Stream
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from tests.algorithms.make import STEP, algorithm, images, setup

SIDE, DIM = 4, 6
Terms = dict[str, Tensor]
Oracle = Callable[[Any, Batch, Step], Terms]  # the method, for its options, networks and buffers
CASES = [(3, 6, 5), (1, 1, 2), (1, 1, 100), (2, 5, 2), (4, 7, 100)]  # labelled and unlabelled images, classes


class Tiny(Classifier):
    """Features tanh(W x), logits V f, without a statistic of the batch."""

    feature_dim = DIM

    def __init__(self, classes: int, seed: int = 0, scale: float = 3.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Linear(3 * SIDE * SIDE, DIM, dtype=torch.float64)
        self.head = nn.Linear(DIM, classes, dtype=torch.float64)
        with torch.no_grad():
            self.head.weight *= scale

    def forward(self, images: Tensor) -> Output:
        features = self.body(images.flatten(1)).tanh()
        return Output(self.head(features), features)


class Given(Classifier):
    """The first C numbers of an image are the logarithms of its probabilities, and its features."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.feature_dim = self.classes = classes
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, images: Tensor) -> Output:
        numbers = images.flatten(1)[:, : self.classes]
        return Output(numbers * self.scale, numbers)


class Quarter(Mixer):
    """Each image with a quarter of the one at the mirrored place, in the precision of the image."""

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        target = 0.75 * labels.target + 0.25 * labels.target.flip(0)
        return Mixed(0.75 * images + 0.25 * images.flip(0), replace(labels, target=target))


def made_of(name: str, classes: int, request: Mapping[str, Any] | None = None, **about: Any) -> Any:
    """An algorithm in float64 around `Tiny`."""
    torch.manual_seed(5)
    counts = torch.arange(classes) % 3 + 1
    return algorithm(name, setup(Tiny(classes), classes=classes, class_counts=counts, **about), request).double()


def drawn(name: str, labeled: int, unlabeled: int, classes: int, seed: int = 0) -> Batch:
    """Random images in float64, in the views that the algorithm asks for; views of an image are alike."""
    made = {}
    for k, (stream, names) in enumerate(registry.load("algorithm", name).views.items()):
        n = unlabeled if stream == "unlabeled" else labeled
        plain = images(n, SIDE, SIDE, seed=10 * seed + k)
        shifts = (0.5 * images(n, SIDE, SIDE, seed=100 + 10 * seed + 3 * k + i) for i in range(len(names)))
        views = {view: (plain + shift).double() for view, shift in zip(names, shifts, strict=True)}
        made[stream] = Stream(views, torch.arange(n), torch.arange(n) % classes if stream == "labeled" else None)
    return made


def shown(*rows: tuple[float, ...]) -> Tensor:
    """Images that `Given` predicts these probabilities for."""
    return torch.tensor(rows, dtype=torch.float64).log()[:, :, None, None]


def compare(made: Any, oracle: Oracle, given: Batch, step: Step = STEP, near: float = 1e-9) -> Losses:
    """Terms and all gradients of the method are those of the loops."""
    other = copy.deepcopy(made)
    losses: Losses = made(given, step)
    losses.total.backward()
    expected = oracle(other, given, step)
    torch.stack([*expected.values()]).sum().backward()
    assert list(losses.terms) == list(expected)
    if losses.labels is not None:
        assert not any(x.requires_grad for x in (losses.labels.target, losses.labels.weight, losses.labels.confidence))
    for key, term in losses.terms.items():
        torch.testing.assert_close(term, expected[key].to(term.dtype), rtol=near, atol=near, msg=key)
    theirs = dict(other.named_parameters())
    for key, p in made.named_parameters():
        wanted = theirs[key].grad
        if p.grad is None or wanted is None:
            assert p.grad is None or not p.grad.any(), key
            assert wanted is None or not wanted.any(), key
        else:
            torch.testing.assert_close(p.grad, wanted, rtol=near, atol=near, msg=key)
    return losses


def labelled(made: Any, given: Batch) -> Tensor:
    """The mean of -log p(y) over labelled images."""
    x = given["labeled"]
    assert x.label is not None
    logs = [log(softmax(z), y) for z, y in zip(made.student(x["weak"]).logits, x.label.tolist(), strict=True)]
    return mean(logs)


def softmax(z: Tensor) -> Tensor:
    powers = (z - z.max().detach()).exp()
    return powers / powers.sum()


def log(p: Tensor, y: int) -> Tensor:
    """-log p_y."""
    return -p[y].log()


def entropy(target: Tensor, p: Tensor) -> Tensor:
    """-sum_c target_c log p_c, of one image."""
    return -sum(target[c] * p[c].log() for c in range(len(p)))  # type: ignore[return-value]


def mean(values: list[Tensor]) -> Tensor:
    return sum(values) / len(values)  # type: ignore[return-value]


def order(p: Tensor) -> list[int]:
    """The classes, the likeliest first."""
    return sorted(range(len(p)), key=lambda c: -p[c].item())


def with_labels(given: Batch, labels: list[int]) -> Batch:
    return {**given, "labeled": replace(given["labeled"], label=torch.tensor(labels))}
