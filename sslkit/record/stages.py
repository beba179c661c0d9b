"""Which stages a run has, in the order of their training, and what each starts from.

It does not ask what is finished: that is the store's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sslkit import registry
from sslkit.config import STAGES, Config, Part, Training
from sslkit.config.resolve import SLOTS, options
from sslkit.errors import UserError
from sslkit.frozen import OnFeatures
from sslkit.machine import Machine
from sslkit.network import PatchEncoder
from sslkit.prepare import Prepared
from sslkit.training.spec import Spec, specify
from sslkit.weights.start import content_hash, first_weights


@dataclass(frozen=True)
class Stage:
    """One row of the table."""

    label: str  # "probe", "finetune", "finetune+", "semi"
    method: str  # "supervised", "ema_teacher x prob_pseudo"
    spec: Spec
    parent: str | None = None  # label of the stage that it starts from
    weights: Path | None = None  # file that it starts from instead


def stages(prepared: Prepared, machine: Machine) -> list[Stage]:
    """The stages of a run.

    Raises:
        UserError: a time is asked for and the steps were not set by it; there is no such file of weights.
    """
    prepared = replace(prepared, config=timed(prepared.config, machine))
    config = prepared.config
    first = first_weights(config)
    found = [_pretrain(prepared, machine, first)] if _pretrains(config) else []
    before = found[-1] if found else None  # what methods on frozen features start from
    labels_only = {"algo": Part("supervised")}

    def add(label: str, method: str, parts: Mapping[str, Part], training: Training, parent: Stage | None) -> None:
        weights = None if parent else first
        spec = specify(
            config,
            label if label in STAGES else "semi",
            parts,
            training,
            parent.spec.key if parent else "",
            prepared.images,
            prepared.split,
            machine,
            weights=content_hash(weights),
        )
        found.append(Stage(label, method, spec, parent.label if parent else None, weights))

    if "probe" in config.stages:
        add("probe", "linear", {"algo": Part("linear", _defaults("linear"))}, config.finetune, before)
    if "finetune" in config.stages:
        add("finetune", "supervised", labels_only, config.finetune, found[-1] if found else None)
    start = found[-1] if found else None
    if "semi" not in config.stages:
        return found
    if config.control.run:
        training = {f.name: getattr(config.semi, f.name) for f in fields(Training)}
        control = Training(**training | {"lr": config.control.lr or config.semi.lr})
        add("finetune+", "supervised", labels_only, control, start)
    parts = {s: p for s in ("algo", *SLOTS) if (p := getattr(config, s)) is not None}
    method = " x ".join(part.name for part in (config.algo, config.mixer) if part and part.name != "none")
    frozen = issubclass(registry.load("algorithm", config.algo.name), OnFeatures)
    add("semi", method, parts, config.semi, before if frozen else start)  # not on features that finetune has changed
    return found


def _defaults(algorithm: str) -> dict[str, Any]:
    """Its options as they are where nobody sets them."""
    return {name: p.default for name, p in options(registry.load("algorithm", algorithm)).items()}


def timed(config: Config, machine: Machine) -> Config:
    """The configuration with the steps that its time came to.

    Raises:
        UserError: a time was asked for and nothing was timed.
    """
    if config.time is not None and not machine.steps:
        raise UserError("time is for `sslkit run`; the arms of a comparison have the same steps: set those")
    return replace(config, **{stage: replace(getattr(config, stage), steps=n) for stage, n in machine.steps.items()})


def _pretrains(config: Config) -> bool:
    """Whether there is a stage `pretrain`: convolutional networks have no patches to mask."""
    learns = bool(config.pretrain.data) or issubclass(registry.load("backbone", config.backbone.name), PatchEncoder)
    return "pretrain" in config.stages and learns


def _pretrain(prepared: Prepared, machine: Machine, first: Path | None) -> Stage:
    config, own = prepared.config, prepared.of("pretrain")
    chosen = config.pretrainer or Part("supervised")
    parts = {"pretrainer" if config.pretrainer else "algo": chosen}
    hashed = content_hash(first)
    spec = specify(own.config, "pretrain", parts, config.pretrain, "", own.images, own.split, machine, hashed)
    return Stage("pretrain", chosen.name, spec, weights=first)
