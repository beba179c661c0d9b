"""A stage as a value: all that determines its result, and the key of that.

A stage receives nothing but its specification, the images and what its parent left, so equal keys may share
a result. Names, folders, logging and the number of workers are not in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from sslkit import registry
from sslkit.config import PARTS, Config, Part, Semi, Training, Views
from sslkit.contracts import Algorithm
from sslkit.data import Images
from sslkit.data.image import Array
from sslkit.data.normalizing import normalization
from sslkit.data.splits import Split
from sslkit.data.weighing import class_weights
from sslkit.errors import UserError, unknown
from sslkit.guided import Guided
from sslkit.machine import Machine
from sslkit.randomness import key
from sslkit.training.sources import source_hash

FEW_LABELS = 1000  # labelled images; below, BatchNorm keeps the statistics of the weights that a run starts from


@dataclass(frozen=True)
class Spec:
    """All that determines a stage's result. JSON values only."""

    stage: str  # "pretrain", "probe", "finetune" or "semi"; the control arm is a "semi" stage of another algorithm
    parent: str  # key of the stage whose weights it starts from, or ""
    parts: dict[str, dict[str, Any]]  # section -> {"name", "options", "source"}
    training: dict[str, Any]
    views: dict[str, dict[str, dict[str, Any]]]  # stream -> view -> policy
    average: dict[str, Any]  # decay and buffers of the averaged network
    data: dict[str, Any]  # fingerprint, size, classes, sizes and hashes of the index arrays
    seed: int
    device: str
    precision: str
    threads: int

    @property
    def draws(self) -> int:
        """Seed of all draws of the stage; the control arm shares that of the semi stage."""
        return key(self.seed, self.stage)

    @property
    def fitted(self) -> bool:
        """Whether it is fitted to frozen features, without a step: no stream has a view."""
        return bool(self.views) and not any(self.views.values())

    @property
    def images_a_step(self) -> int:
        """Labelled and unlabelled images of one step; an image counts once."""
        mu = self.training["mu"] if "unlabeled" in self.views else 0
        return int(self.training["batch"] * (1 + mu))

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits that name the result."""
        training = {k: v for k, v in self.training.items() if k != "grad_checkpoint"}  # it changes no bit of the result
        values = {f.name: getattr(self, f.name) for f in fields(self)} | {"training": training}
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def specify(
    config: Config,
    stage: str,
    algorithm: Mapping[str, Part],
    training: Training,
    parent: str,
    images: Images,
    split: Split,
    machine: Machine,
    weights: str = "",
) -> Spec:
    """The specification of one stage.

    Args:
        algorithm: the algorithm or pretrainer, and its slots, by section.
        parent: key of the stage it starts from, or "".
        weights: hash of the file it starts from, or "".
    """
    parts = {"backbone": _backbone(config, training), **algorithm}
    main = "algo" if "algo" in algorithm else "pretrainer"
    views = _views(config, registry.load(PARTS[main], algorithm[main].name), training)
    parts |= {"adapt": config.adapt} if config.adapt and stage != "pretrain" and any(views.values()) else {}
    settings = _settings(training, views)
    settings |= {"norm_stats": "frozen"} if _freezes(config, training, split) else {}
    settings |= {name: True for name in ("grad_checkpoint", "compile", "fsdp") if getattr(config, name)}
    settings |= {"patience": config.eval.patience} if config.eval.patience and stage != "pretrain" else {}
    settings |= {"processes": machine.processes} if machine.processes > 1 else {}  # they decide what a micro-batch is
    counts = images.counts(split.labeled)
    data = {"fingerprint": images.fingerprint, "size": images.size, "classes": images.classes, "counts": counts}
    data |= {name: list(x) for name, x in zip(("mean", "std"), normalization(config, images), strict=True)}
    used = split.parts()
    if not views.keys() & {"unlabeled", "all"}:
        del used["pool"]
    data |= {name: stamp(index) for name, index in used.items()}
    data |= {"whole": "torch"} if config.data.whole else {}  # by what crops are scaled; True was Pillow
    data |= {"crop": config.data.crop} if config.data.crop < 1 else {}
    how = config.data.interpolation
    data |= {"interpolation": how} if how != "bicubic" else {}
    data |= {"multilabel": True} if images.sets is not None else {}
    data |= images.tone.about()
    if images.given and issubclass(registry.load(PARTS[main], algorithm[main].name), Guided):
        data["given"] = [one.key for one in images.given]
    data |= _weighed(config, algorithm[main], counts, images.classes, views) if "labeled" in views else {}
    described = {section: _described(section, part) for section, part in parts.items()}
    if weights:
        described["backbone"]["weights"] = weights
        container, partial = config.weights_container, config.weights_partial
        described["backbone"] |= {"container": container} if container else {}
        described["backbone"] |= {"partial": True} if partial else {}
    decay = config.decay if training.decay is None else training.decay
    return Spec(
        stage=stage,
        parent=parent,
        parts=described,
        training=settings,
        views=views,
        average={"decay": decay, "buffers": config.eval.buffers},
        data=data,
        seed=config.seed,
        device=machine.device,
        precision=machine.precision,
        threads=machine.threads,
    )


def stamp(index: Array) -> list[Any]:
    """Length and hash of an index array."""
    return [len(index), hashlib.sha256(index.tobytes()).hexdigest()]


def _views(config: Config, algorithm: type[Algorithm], training: Training) -> dict[str, dict[str, dict[str, Any]]]:
    """Stream -> view -> policy; "strong2" is the policy of "strong" with draws of its own."""
    known = {f.name: getattr(config.views, f.name) for f in fields(Views) if f.name != "labeled"}
    if training.erase is not None:
        known |= {name: replace(known[name], erase=training.erase) for name in ("strong", "pretrain")}
    views: dict[str, dict[str, dict[str, Any]]] = {}
    for stream, names in algorithm.views.items():
        views[stream] = {}
        for name in names:
            kind = name.rstrip("0123456789")
            policy = known.get(config.views.labeled if stream in ("labeled", "balanced") and kind == "weak" else kind)
            if policy is None:
                raise unknown(f"view of {algorithm.__name__}", name, known)
            views[stream][name] = dict(vars(policy))
    return views


def _weighed(
    config: Config, algorithm: Part, counts: Sequence[int], classes: Sequence[str], views: Mapping[str, Any]
) -> dict[str, Any]:
    """How labelled images are weighed and drawn, where not all count alike.

    Raises:
        UserError: a method on frozen features has no loss whose terms could be weighed.
    """
    fitted = not any(views.values())
    weights = class_weights(config.data, counts, classes, fitted=fitted)
    if fitted and weights and not getattr(registry.load("algorithm", algorithm.name), "weighs", False):
        asked = "class_weights" if config.data.class_weights != "none" else "sampling"
        raise UserError(f"algorithm {algorithm.name!r} has no loss that classes weigh in; drop data.{asked}")
    drawn = {"sampling": "classes"} if config.data.sampling == "classes" and not fitted else {}
    return drawn | ({"class_weights": weights} if weights else {})


def _backbone(config: Config, training: Training) -> Part:
    """The backbone with the stage's stochastic depth."""
    chosen = config.backbone
    if training.drop_path is None:
        return chosen
    if "drop_path" not in chosen.options:
        raise UserError(f"backbone {chosen.name!r} has no drop_path; leave it at auto")
    return Part(chosen.name, {**chosen.options, "drop_path": training.drop_path})


def _settings(training: Training, views: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine and the loader do; what stands in parts, views and average is left out."""
    settings = {f.name: getattr(training, f.name) for f in fields(Training)}
    if isinstance(training, Semi) and "unlabeled" in views:
        settings |= {"mu": training.mu, "skip_rejected": training.skip_rejected}
    settings["lr"] *= training.batch / 256 if training.scale_lr else 1
    for name in ("scale_lr", "epochs", "images", "drop_path", "erase", "decay", "norm_stats"):
        del settings[name]
    return settings


def _freezes(config: Config, training: Training, split: Split) -> bool:
    """Whether BatchNorm keeps its statistics: as asked, else after a probe on labels too few to find new ones."""
    if training.norm_stats is not None:
        return training.norm_stats == "frozen"
    return "probe" in config.stages and len(split.labeled) < FEW_LABELS


def _described(section: str, part: Part) -> dict[str, Any]:
    """A part with the hash of its source and of the modules of its own package that it uses."""
    cls = registry.load(PARTS[section], part.name)
    return {"name": part.name, "options": dict(part.options), "source": source_hash(cls)}
