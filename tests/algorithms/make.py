"""Parts, networks, batches and stages to test with."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslkit import registry
from sslkit.backbones._timm import Width
from sslkit.backbones.vit_micro import ViTMicro
from sslkit.backbones.wrn_10_1 import WRN10x1
from sslkit.config.resolve import SLOTS, options
from sslkit.conformance.tiny import predictions
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup, Stream
from sslkit.frozen import OnFeatures
from sslkit.guided import Guided
from sslkit.machine import Machine
from sslkit.network import Classifier, Output, Shape
from sslkit.prepare import prepare
from sslkit.randomness import Step
from sslkit.record.stages import stages
from sslkit.training.networks import add_heads
from sslkit.training.stage import Job, build

CLASSES, SIZE, POOL = 5, 8, 40
FOLDER = tempfile.TemporaryDirectory(prefix="sslkit-tests-")  # removed at the end of the process
STEP = Step(index=3, total=20, seed=11)
SMALL = {
    "backbone": "vit_micro",
    "data.labels": "4/class",
    "seed": 3,
    "semi.batch": 4,
    "semi.mu": 3,
    "semi.steps": 5,
    "semi.lr": 1e-2,
    "eval.decay": 0.8,
}


def built_in(kind: str) -> list[str]:
    """Names of the parts that ship in the box, so that a new one is tested by being there."""
    return [entry.name for entry in registry.entries(kind) if entry.origin == "built in"]


def stepping() -> list[str]:
    """Names of the algorithms that train by steps; methods on frozen features are fitted once."""
    return [name for name in built_in("algorithm") if not issubclass(registry.load("algorithm", name), OnFeatures)]


class Small(ViTMicro):
    """The smallest network that has all that a ViT has."""

    width = Width(dim=32, depth=2, heads=2)


def network(name: str = "vit", seed: int = 0) -> Classifier:
    """A small network whose predictions are far from uniform: LayerNorm ("vit") or BatchNorm ("wrn")."""
    torch.manual_seed(seed)
    if name == "wrn":
        return WRN10x1(Shape(SIZE, CLASSES))
    made = Small(Shape(SIZE, CLASSES))
    with torch.no_grad():
        made.model.head.weight *= 10
    return made


def setup(student: Classifier | None = None, **changes: Any) -> Setup:
    student = student or network()
    made = Setup(
        student=student,
        averaged=student,
        classes=CLASSES,
        labeled=10,
        unlabeled=POOL,
        class_counts=torch.full((CLASSES,), 2),
        steps=STEP.total,
        decay=0.9,
    )
    return replace(made, **changes)


def part(kind: str, name: str, setup: Setup, **chosen: Any) -> Any:
    return registry.load(kind, name)(setup, **chosen)


def algorithm(name: str, setup: Setup, request: Mapping[str, Any] | None = None) -> Algorithm:
    """An algorithm with its own slots and defaults, except for `request`: {"teacher": "ema", "labeler.tau": 0.5}."""
    cls = registry.load("algorithm", name)
    asked = {**cls.defaults, **(request or {})}
    parts = {slot: registry.load(slot, asked.get(slot, default)) for slot, default in cls.slots.items()}
    assert set(parts) <= set(SLOTS)
    add_heads(cls, setup.classes, *{id(net): net for net in (setup.student, setup.averaged)}.values())
    chosen = {section: _options(of, section, asked) for section, of in {**parts, "algo": cls}.items()}
    slots = {slot: of(setup, **chosen[slot]) for slot, of in parts.items()}
    made: Algorithm = cls(setup, **slots, **chosen["algo"])
    if isinstance(made, Guided) and made.needs:
        made.follow(*(predictions(n, setup.classes) for n in (setup.labeled, setup.unlabeled)))
    return made.train()


def _options(cls: type, section: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    named = {key.removeprefix(f"{section}."): v for key, v in asked.items() if key.startswith(f"{section}.")}
    return {key: value for key, value in named.items() if key in options(cls)}


def images(n: int, height: int = SIZE, width: int = SIZE, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def batch(cls: type[Algorithm], labeled: int = 3, unlabeled: int = 6, seed: int = 0) -> Batch:
    """Random images in the views that an algorithm asks for."""
    sizes = {"labeled": labeled, "balanced": labeled, "unlabeled": unlabeled, "all": labeled}
    made = {}
    for stream, names in cls.views.items():
        n = sizes[stream]
        views = {name: images(n, seed=seed * 10 + i + len(stream)) for i, name in enumerate(names)}
        label = torch.arange(n) % CLASSES if stream in ("labeled", "balanced") else None
        made[stream] = Stream(views, torch.arange(n), label)
    return made


def seen_as(given: Batch, views: dict[str, Tensor]) -> Batch:
    """The batch with these views of its unlabelled images."""
    u = given["unlabeled"]
    return {**given, "unlabeled": replace(u, views={**u.views, **views})}


def gradient(p: Tensor) -> Tensor:
    """The gradient of a parameter that has one."""
    assert p.grad is not None
    return p.grad


class Trainer:
    """What an algorithm sees of the engine; its update is one of plain descent."""

    def __init__(self, made: Algorithm) -> None:
        self.made = made

    def run(self, batch: Batch, step: Step) -> Losses:
        losses: Losses = self.made(batch, step)
        return losses

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def update(self, name: str = "main") -> None:
        with torch.no_grad():
            for p in self.made.trainable()[name].parameters():
                if p.grad is not None:
                    p.sub_(p.grad, alpha=0.1)

    def encode(self, network: Classifier, stream: str) -> Output:
        raise AssertionError("no step asks for a whole stream")

    def given(self, stream: str) -> Tensor:
        return torch.empty(0, 1, CLASSES)  # none


@cache
def votes() -> Path:
    """A file of classes for the training images of digits, every fifth of them wrong."""
    classes, train, _ = registry.load("dataset", "digits")().read()
    label = np.where(np.arange(len(train.label)) % 5, train.label, (train.label + 1) % 10)
    file = Path(FOLDER.name) / "votes.npz"
    names = [f"train image {i}" for i in range(len(label))]
    np.savez(file, name=names, classes=classes, p=np.eye(10, dtype=np.float32)[label])
    return file


def needed(name: str) -> dict[str, Any]:
    """The keys without which an algorithm does not train on digits."""
    cls = registry.load("algorithm", name)
    return {"predictions": str(votes())} if issubclass(cls, Guided) and cls.needs else {}


def needed_words(name: str) -> list[str]:
    """The same for a command line."""
    return [word for key, value in needed(name).items() for word in ("--set", f"{key}={value}")]


def labels(confidence: list[float], tau: float = 0.5, classes: int = CLASSES, smoothing: float = 0.1) -> PseudoLabels:
    """Labels of given confidences; image i is of class i modulo the number of classes."""
    y = torch.arange(len(confidence)) % classes
    target = torch.eye(classes)[y] * (1 - smoothing) + smoothing / classes
    o = torch.tensor(confidence)
    return PseudoLabels(target, (o >= tau).float(), o)


def job(request: Mapping[str, Any], label: str = "semi") -> Job:
    """The stage called `label` of a run on digits, made as `sslkit run` makes it, without a parent."""
    prepared = prepare({**SMALL, **needed(str(request["algo"])), **request})
    found = {stage.label: stage for stage in stages(prepared, Machine("cpu", "fp32", 1))}
    return build(found[label].spec, prepared.images, prepared.split, None)
