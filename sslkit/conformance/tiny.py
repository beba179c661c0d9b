"""Tiny networks, batches and a trainer, on which parts are tried; nothing here learns anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sslkit import registry
from sslkit.config.resolve import SLOTS, options
from sslkit.contracts import Algorithm, Batch, Losses, Setup, Stream
from sslkit.guided import Guided
from sslkit.network import Classifier, Output, Shape
from sslkit.randomness import Step
from sslkit.training.networks import add_heads

CLASSES, SIZE, WIDTH, POOL, LABELED, UNLABELED = 5, 16, 24, 48, 4, 8
STEP = Step(index=3, total=20, seed=7)


class Tiny(Classifier):
    """Patches, a layer with LayerNorm or BatchNorm, their mean, a head; its predictions are far from even."""

    def __init__(self, shape: Shape, norm: str = "layer") -> None:
        super().__init__()
        self.feature_dim = WIDTH
        self.patches = nn.Conv2d(3, WIDTH, 4, 4)
        self.norm = nn.BatchNorm2d(WIDTH) if norm == "batch" else nn.GroupNorm(1, WIDTH)
        self.mixing = nn.Conv2d(WIDTH, WIDTH, 1)
        self.head = nn.Linear(WIDTH, shape.classes)
        with torch.no_grad():
            self.head.weight *= 20

    def forward(self, images: Tensor) -> Output:
        features = self.mixing(self.norm(self.patches(images)).relu()).relu().mean((2, 3))  # (N, D)
        return Output(self.head(features).float(), features.float())


def network(classes: int = CLASSES, norm: str = "layer", seed: int = 0) -> Tiny:
    """A `Tiny` from a seed, in training mode."""
    torch.manual_seed(seed)
    return Tiny(Shape(SIZE, classes), norm)


def patches(classes: int = CLASSES) -> Classifier:
    """A vision transformer of two narrow blocks, of which some patches can be encoded, from seed 0."""
    built_in = registry.load("backbone", "vit_micro")
    small = type("Small", (built_in,), {"width": replace(built_in.width, dim=WIDTH, depth=2, heads=2)})
    torch.manual_seed(0)
    found: Classifier = small(Shape(SIZE, classes))
    return found.train()


def labeled_of(classes: int) -> int:
    """Labelled images in all: one of the last class, two of the last but one, and so on."""
    return classes * (classes + 1) // 2


def setup(student: Classifier, classes: int = CLASSES, each: int | None = None) -> Setup:
    """What a part is made with; the teacher's start is another network than the student.

    Args:
        each: labels of every class; None: of each class another number.
    """
    counts = torch.arange(classes, 0, -1) if each is None else torch.full((classes,), each)
    assert each is not None or int(counts.sum()) == labeled_of(classes)
    return Setup(
        student=student,
        averaged=_other(student, classes),
        classes=classes,
        labeled=int(counts.sum()),
        unlabeled=POOL,
        class_counts=counts,
        steps=STEP.total,
        decay=0.9,
    )


def _other(student: Classifier, classes: int) -> Classifier:
    if not isinstance(student, Tiny):
        return student
    return network(classes, "batch" if hasattr(student.norm, "running_mean") else "layer", seed=1)


def algorithm(
    cls: type[Algorithm], made: Setup, other: Mapping[str, Callable[[Setup], nn.Module]] | None = None
) -> Algorithm:
    """An algorithm with its slots and the options that it wants set; its student is in training mode.

    Args:
        other: slot -> what makes the part that is put there instead.
    """
    add_heads(cls, made.classes, made.student, made.averaged)
    parts = {slot: registry.load(slot, cls.defaults.get(slot, default)) for slot, default in cls.slots.items()}
    assert parts.keys() <= {*SLOTS}, "slots have known names"
    slots = {slot: part(made, **_options(part, slot, cls.defaults)) for slot, part in parts.items()}
    slots |= {slot: make(made) for slot, make in (other or {}).items()}
    found: Algorithm = cls(made, **slots, **_options(cls, "algo", cls.defaults))
    if isinstance(found, Guided) and found.needs:
        found.follow(*(predictions(n, made.classes) for n in (made.labeled, made.unlabeled)))
    return found.train()


def predictions(n: int, classes: int) -> Tensor:
    """(2, n, C) probabilities by two networks, of which the first has none of image 0."""
    p = (3 * torch.randn(2, n, classes, generator=torch.Generator().manual_seed(n))).softmax(2)
    p[0, 0] = float("nan")
    return p


def _options(cls: type[Any], section: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    known = options(cls)
    named = {key.partition(".")[2]: value for key, value in defaults.items() if key.startswith(f"{section}.")}
    return {name: value for name, value in named.items() if name in known}


def made(cls: type[Algorithm], classes: int = CLASSES, norm: str = "layer") -> Algorithm:
    """An algorithm on a network of its own: a `Tiny`, or for a pretrainer a vision transformer."""
    return algorithm(cls, setup(network(classes, norm) if cls.classifies else patches(classes), classes))


def forward(algorithm: Algorithm, **sizes: int) -> Losses:
    """One forward and backward; gradients stand at the parameters."""
    algorithm.zero_grad()
    losses: Losses = algorithm(batch(type(algorithm), **sizes), STEP)
    losses.total.backward()  # type: ignore[no-untyped-call]
    return losses


def images(n: int, seed: int = 0) -> Tensor:
    """(n, 3, S, S) float32, normally distributed, each of another brightness, so that predictions differ."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, SIZE, SIZE, generator=draw) + 2 * torch.randn(n, 3, 1, 1, generator=draw)


def batch(
    cls: type[Algorithm], labeled: int = LABELED, unlabeled: int = UNLABELED, classes: int = CLASSES, seed: int = 0
) -> Batch:
    """Random images in the views that an algorithm asks for."""
    made = {}
    for place, (stream, names) in enumerate(cls.views.items()):
        n = unlabeled if stream in ("unlabeled", "all") else labeled
        views = {name: images(n, 100 * seed + 10 * place + i) for i, name in enumerate(names)}
        known = stream in ("labeled", "balanced")
        index = (torch.arange(n) + n * seed) % (labeled_of(classes) if known else POOL)
        made[stream] = Stream(views, index, index % classes if known else None)
    return made


class Trainer:
    """The engine as an algorithm sees it: plain descent, one process."""

    def __init__(self, algorithm: Algorithm, rate: float = 0.05) -> None:
        self.algorithm, self.rate = algorithm, rate

    def run(self, batch: Batch, step: Step) -> Losses:
        losses: Losses = self.algorithm(batch, step)
        return losses

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self, name: str = "main") -> None:
        for parameter in self.algorithm.trainable()[name].parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=self.rate)
                parameter.grad = None

    def encode(self, network: Classifier, stream: str) -> Output:
        with torch.no_grad():
            labeled = labeled_of(self.algorithm.student.classifier().out_features)
            output = network.eval()(images(POOL if stream == "unlabeled" else labeled))
        network.train(network is self.algorithm.student)
        return output.detach()

    def given(self, stream: str) -> Tensor:
        classes = self.algorithm.student.classifier().out_features
        return predictions(POOL if stream == "unlabeled" else labeled_of(classes), classes)


def steps(algorithm: Algorithm, numbers: Sequence[int]) -> list[Losses]:
    """Train some steps, each on a batch of its own; the losses of each."""
    cls, trainer, done = type(algorithm), Trainer(algorithm), []
    classes = algorithm.student.classifier().out_features
    if numbers and numbers[0] == 0:
        algorithm.start(trainer)
    for number in numbers:
        at = Step(number, STEP.total, STEP.seed)
        done += algorithm.train_step(trainer, [batch(cls, classes=classes, seed=number)], [at])
    return done


def state(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all that outlives a restart."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


class Transformer(Classifier):
    """A vision transformer of timm's in small, for what is made for blocks."""

    def __init__(self, shape: Shape) -> None:
        from timm.models.vision_transformer import VisionTransformer  # slow to import

        super().__init__()
        about = {"img_size": shape.size, "patch_size": 4, "embed_dim": WIDTH, "depth": 2, "num_heads": 2}
        self.model: Any = VisionTransformer(**about, num_classes=shape.classes)
        self.feature_dim = WIDTH

    def forward(self, images: Tensor) -> Output:
        features = self.model.forward_head(self.model.forward_features(images), pre_logits=True)
        return Output(self.model.head(features).float(), features.float())

    def stack(self) -> list[nn.Module]:
        return list(self.model.blocks)
