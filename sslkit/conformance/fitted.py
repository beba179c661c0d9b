"""What every method on frozen features keeps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.conformance import Check, expect, tiny
from sslkit.frozen import OnFeatures

Kind = type[OnFeatures]
EACH = 3  # labels of a class


def features(classes: int, each: int = EACH, pool: int = 30, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Clouds of features (n, D), labels (n,), and features (N_u, D) of a pool."""
    draw = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(classes, tiny.WIDTH, generator=draw)
    label = torch.arange(classes).repeat_interleave(each)
    hidden = torch.arange(pool) % classes
    noise = torch.randn(len(label) + pool, tiny.WIDTH, generator=draw)
    return centres[label] + noise[: len(label)], label, centres[hidden] + noise[len(label) :]


def made(cls: Kind, classes: int = tiny.CLASSES, each: int = EACH, pool: int = 30) -> tuple[OnFeatures, Tensor, Tensor]:
    """A method that was fitted, the features that it saw, and its logits of them."""
    method = tiny.algorithm(cls, tiny.setup(tiny.network(classes), classes, each))
    assert isinstance(method, OnFeatures)
    labeled, label, unlabeled = features(classes, each, pool)
    with torch.no_grad():
        method.fit(labeled, label, unlabeled if "unlabeled" in cls.views else unlabeled[:0])
        return method, labeled, method.classify(labeled)


def classifies(cls: Kind) -> None:
    """Fitted to clear clouds, it gives finite float logits (N, C), and labels most labelled images as they are."""
    for classes in (2, tiny.CLASSES, 20):
        _, _, logits = made(cls, classes)
        label = features(classes)[1]
        expect(logits.shape == (len(label), classes), f"logits have the shape {tuple(logits.shape)}")
        expect(bool(logits.isfinite().all()), "logits are not finite")
        right = (logits.argmax(1) == label).float().mean().item()
        expect(right > 0.8, f"of {classes} clouds {100 * right:.0f}% of the labelled images are given their label")


def one_label_a_class(cls: Kind) -> None:
    """One label a class will do."""
    _, _, logits = made(cls, each=1)
    expect(bool(logits.isfinite().all()), "logits are not finite")


def repeatable(cls: Kind) -> None:
    """Fitted twice to the same features, it is the same to the bit, whatever generators hold."""
    torch.manual_seed(1)
    first = made(cls)[2]
    torch.manual_seed(2)
    expect(torch.equal(first, made(cls)[2]), "the logits differ")


def inputs_stay(cls: Kind) -> None:
    """Features are not changed."""
    method, labeled, _ = made(cls)
    method.classify(labeled)
    expect(torch.equal(labeled, features(tiny.CLASSES)[0]), "features are changed")


def is_stored(cls: Kind) -> None:
    """What it found are buffers: loaded into a new one it classifies as before."""
    method, labeled, logits = made(cls)
    other = tiny.algorithm(cls, tiny.setup(tiny.network(), each=EACH))
    assert isinstance(other, OnFeatures)
    other.load_state_dict(tiny.state(method))
    expect(torch.equal(other.classify(labeled), logits), "the logits differ")


CHECKS: Sequence[Check] = (classifies, one_label_a_class, repeatable, inputs_stay, is_stored)
