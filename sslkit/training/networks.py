"""Networks and parts of a stage, as they start: from a seed, a file, or what the stage before left."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sslkit import registry
from sslkit.adapter import adapt
from sslkit.config import PARTS
from sslkit.config.resolve import argument, options
from sslkit.contracts import Algorithm, Setup
from sslkit.errors import UserError
from sslkit.network import Classifier, Shape
from sslkit.randomness import seeded
from sslkit.training.spec import Spec
from sslkit.weights import Loaded, load_weights
from sslkit.weights.start import adapted, take_over


def start_networks(spec: Spec, parent: Path | None, weights: Path | None) -> tuple[Classifier, Classifier]:
    """Student and averaged network; one and the same where no stage left two.

    With an adapter, what is frozen has no average: after a stage without one both start from its averaged network.
    """
    student = build_network(spec)
    student.frozen_statistics = spec.training.get("norm_stats") == "frozen"
    if weights:
        load(student, weights, spec)
    fingerprint = spec.data["fingerprint"]
    if "adapt" in spec.parts:
        if parent and not adapted(parent):
            take_over(parent, fingerprint, {"averaged.": student})
            parent = None
        adapt(part(spec, "adapt", _shape(spec)), student)
    if not parent:
        return student, student
    averaged = student.twin()
    take_over(parent, fingerprint, {"student.": student, "averaged.": averaged})
    return student, averaged


def add_heads(cls: type[Algorithm], classes: int, *networks: Classifier) -> None:
    """Give each network the same heads that an algorithm has beside its own; see `Algorithm.heads`."""
    heads = cls.heads(networks[0].feature_dim, classes)
    for network in networks if heads else ():
        network.added = nn.ModuleDict(copy.deepcopy(heads))
        for head in network.added.values():
            if isinstance(head, nn.Linear) and head.out_features == classes:
                head.load_state_dict(network.classifier().state_dict())


def load(network: Classifier, weights: Path, spec: Spec) -> Loaded:
    """Put a file's weights into the network of a stage, as its specification says.

    Raises:
        UserError: what `load_weights` raises.
    """
    about = spec.parts["backbone"]
    classes, partial = spec.data["classes"], about.get("partial", False)
    return load_weights(network, weights, about.get("container"), classes=classes, partial=partial)


def build_network(spec: Spec) -> Classifier:
    """The backbone with its initial weights, without an adapter."""
    network: Classifier = part(spec, "backbone", _shape(spec))
    network.multilabel = spec.data.get("multilabel", False)
    layout = torch.channels_last if network.channels_last else torch.contiguous_format
    return network.to(memory_format=layout)


def _shape(spec: Spec) -> Shape:
    return Shape(spec.data["size"], len(spec.data["classes"]))


def part(spec: Spec, section: str, first: Setup | Shape, **slots: nn.Module) -> Any:
    """A part, made with its own seed.

    Raises:
        UserError: it refuses its options; a ValueError of its constructor is the user's, with the section's name.
    """
    described = spec.parts[section]
    cls = registry.load(PARTS[section], described["name"])
    seeded(section, spec.seed)
    extra = argument(PARTS[section], described["name"], cls)
    known = options(cls)
    chosen = {name: value for name, value in described["options"].items() if name in known}
    try:
        return cls(first, **slots, **chosen, **extra)
    except ValueError as error:
        raise UserError(f"{section} {described['name']!r}: {error}") from None
