"""The contracts: what an algorithm is, what its slots are, and what they exchange. No part ever sees a hidden label.

A part is `Part(setup, **options)`, options typed keyword parameters; what outlives a restart is a parameter or buffer.
Shapes: B labelled images, N any, N_u the pool, M mixed, C classes, D features, S a square's side, L patches, K seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from sslkit.network import Classifier, Output
from sslkit.randomness import Step


@dataclass(frozen=True)
class Stream:
    """Images of one source, each view with a draw of its own for every image."""

    views: Mapping[str, Tensor]  # name -> (N, 3, H, W) float32, normalised
    index: Tensor  # (N,) int64, place in the pool, which was shuffled by the split's seed
    label: Tensor | None = None  # (N,) int64, multi-label (N, C) of 0 and 1; "labeled" alone has it
    target: Tensor | None = None  # (N, C), where labels are smoothed, labelled images mixed or classes weighed

    def __getitem__(self, view: str) -> Tensor:
        return self.views[view]

    @property
    def y(self) -> Tensor:
        """What the supervised loss of a labelled stream compares with: `target`, else `label`."""
        assert self.label is not None
        return self.label if self.target is None else self.target


Batch = Mapping[str, Stream]  # "labeled", "unlabeled"; "balanced": labelled, classes alike; "all": both


@dataclass(frozen=True)
class PseudoLabels:
    """Targets for N images, detached."""

    target: Tensor  # (N, C) rows sum to 1; a hard label is one-hot, label smoothing is inside; multi-label: in [0, 1]
    weight: Tensor  # (N,) >= 0; 0 is rejected; multi-label: (N, C)
    confidence: Tensor  # (N,) in [0, 1]; what the weight came from, what mixers weigh by
    memory: Mapping[str, Tensor] = field(default_factory=dict)  # name -> rows that the labeler's `update` learns from


@dataclass(frozen=True)
class Mixed:
    images: Tensor  # (M, 3, H, W); M > N if the mixer appends
    labels: PseudoLabels  # of the M images


@dataclass
class Losses:
    """What one micro-batch gave."""

    terms: dict[str, Tensor]  # name -> weighted scalar
    labels: PseudoLabels | None = None  # of "unlabeled" BEFORE mixing; the engine scores them
    memory: dict[str, Tensor] = field(default_factory=dict)  # detached; for `after_step`

    @property
    def total(self) -> Tensor:
        return torch.stack(list(self.terms.values())).sum()


@dataclass(frozen=True)
class Setup:
    """All that a part may know when it is made: no image and no hidden label."""

    student: Classifier
    averaged: Classifier  # the averaged network that the last stage left; the teacher's start
    classes: int
    labeled: int  # images, not batch size
    unlabeled: int
    class_counts: Tensor  # (C,) int64, of the labelled images
    steps: int
    decay: float  # of the averaged network that is evaluated
    buffers: str = "average"  # or "copy": what an average does with buffers
    skip_rejected: bool = False  # the student need not see images of weight 0


class Teacher(nn.Module, ABC):
    """Whose predictions on the weak view become labels?"""

    joinable: bool = False  # the prediction is the student's own train-mode forward

    @abstractmethod
    def predict(self, student: Classifier, images: Tensor, step: Step) -> Output:
        """Detached output for images (N, 3, H, W)."""

    def update(self, student: Classifier, step: Step) -> None:
        """Follow the student; called after every optimizer step."""

    def networks(self) -> dict[str, Classifier]:
        """Name -> network that the engine evaluates beside the student."""
        return {}


class PseudoLabeler(nn.Module, ABC):
    """Which target, and how much weight, has each unlabelled image?"""

    multilabel: ClassVar[bool] = False  # for images with several labels, too

    @abstractmethod
    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        """Labels from the detached outputs for the weak views and for the labelled images."""

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        """Learn from the unmixed labels, and their memory, of the whole global batch, after every optimizer step."""


class Mixer(nn.Module, ABC):
    """How are images and their pseudo-labels interpolated?"""

    joinable: bool = False  # images and labels come out as they went in

    @abstractmethod
    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        """Mix images (N, 3, H, W) of any N >= 1. The inputs are not modified."""


class Trainer(Protocol):
    """What the engine offers to an algorithm."""

    def run(self, batch: Batch, step: Step) -> Losses:
        """The algorithm's `forward`, wrapped once for precision and for several processes."""

    def backward(self, loss: Tensor) -> None: ...
    def update(self, name: str = "main") -> None:
        """Clip, step the optimizer called `name`, clear its gradients."""

    def encode(self, network: Classifier, stream: str) -> Output:
        """For all images of a stream, "labeled" or "unlabeled", by its index, without augmentation; on the CPU."""

    def given(self, stream: str) -> Tensor:
        """(M, n, C) likewise, probabilities by the M networks of the key `predictions`; a row of NaN is missing."""


class Algorithm(nn.Module, ABC):
    """One method. `forward` is straight-line code that does its own forwards."""

    views: ClassVar[Mapping[str, tuple[str, ...]]] = {"labeled": ("weak",), "unlabeled": ("weak", "strong")}
    slots: ClassVar[Mapping[str, str]] = {}  # slot -> default part; slots that are not here are refused
    defaults: ClassVar[Mapping[str, Any]] = {}  # configuration keys this method wants set otherwise
    classifies: ClassVar[bool] = True  # False: no head is trained, and the stage is not evaluated
    multilabel: ClassVar[bool] = False  # for images with several labels, too: `Output.p` is of each class by itself
    decides: ClassVar[str] = ""  # which of `heads` classifies at test time; "": the network's own

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.student = setup.student

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        """Further heads on features (N, D), by name: `network.added[name]`, trained, averaged and stored with it.

        Linear ones for all classes start as the network's own head is then."""
        return {}

    @abstractmethod
    def forward(self, batch: Batch, step: Step) -> Losses: ...

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        """After the optimizer's step, with the losses of this process's micro-batches."""

    def networks(self) -> dict[str, Classifier]:
        return {"student": self.student}

    def predict(self, network: Classifier, images: Tensor) -> Tensor:
        """(N, C) logits at test time."""
        output = network(images)
        return network.added[self.decides](output.features) if self.decides else output.logits

    def open_set(self, network: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) how much each looks like no class of the labels, and (N,) int64 its class at test time; C is none."""
        p = self.predict(network, images).softmax(1)
        return 1 - p.amax(1), p.argmax(1)

    def start(self, trainer: Trainer) -> None:
        """Once, before the first step of a stage."""

    def trainable(self) -> dict[str, nn.Module]:
        """Name -> module: one optimizer and schedule each."""
        return {"main": self}

    def train_step(self, trainer: Trainer, batches: Sequence[Batch], steps: Sequence[Step]) -> list[Losses]:
        """One optimizer step over this process's micro-batches."""
        done = []
        for batch, step in zip(batches, steps, strict=True):
            losses = trainer.run(batch, step)
            trainer.backward(losses.total / len(batches))
            done.append(losses)
        trainer.update()
        self.after_step(done, steps[-1])
        return done
