"""The configuration: frozen, typed, nested. One source of truth for command line, TOML file and Python.

A key is `section.name`; a part's section holds its name and the typed keyword parameters of its constructor.
`None` means "decided for you" and is written `auto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from sslkit.augment.policy import STRONG, WEAK, Policy

Flat = dict[str, Any]  # "section.name" -> value


@dataclass(frozen=True)
class Data:
    name: str = "digits"  # NAME or NAME:ARGUMENT
    labels: str = "10/class"  # N/class, N in all, N%, or all
    pool: Literal["complement", "all"] = "complement"  # "all" also holds the labelled images
    val: float = 0.0  # share of the labelled images held out; only then is there a "best" checkpoint
    tune: bool = False  # hide the real test: a quarter of the training part stands in for it
    size: int | None = None  # side of the images; auto: their median, at most 224

    def __post_init__(self) -> None:
        _within(self, val=(0, 0.9), size=(4, 4096))


@dataclass(frozen=True)
class Views:
    weak: Policy = field(default_factory=lambda: WEAK)
    strong: Policy = field(default_factory=lambda: STRONG)


@dataclass(frozen=True)
class Pretrain:
    method: Literal["none"] = "none"


@dataclass(frozen=True)
class Training:
    steps: int = 1000
    batch: int = 64  # labelled images a step, over all devices
    lr: float = 1e-3
    optimizer: Literal["adamw", "sgd"] = "adamw"  # sgd: Nesterov momentum 0.9
    weight_decay: float = 0.05
    warmup: float = 0.05  # share of the steps with linear warm-up; a half cosine to 0 follows
    clip: float = 0.0  # largest gradient norm; 0 is no clipping
    accumulate: int = 1  # micro-batches a step on each device

    def __post_init__(self) -> None:
        _within(self, steps=(1, None), batch=(1, 65536), lr=(0, None), weight_decay=(0, None))
        _within(self, warmup=(0, 1), clip=(0, None), accumulate=(1, None))


@dataclass(frozen=True)
class Semi(Training):
    mu: int = 3  # unlabelled images for each labelled one
    skip_rejected: Literal["auto", "on", "off"] = "auto"  # auto: on the CPU, without BatchNorm and drop path

    def __post_init__(self) -> None:
        super().__post_init__()
        _within(self, mu=(1, None))


@dataclass(frozen=True)
class Control:
    run: bool = False  # also train finetune+: as many steps as semi, labels only, from the same start
    lr: float | None = None  # auto: as semi.lr

    def __post_init__(self) -> None:
        _within(self, lr=(0, None))


@dataclass(frozen=True)
class Eval:
    decay: float | None = None  # of the averaged network; auto: its memory is 10% of the semi steps
    buffers: Literal["average", "copy"] = "average"  # BatchNorm's statistics in the average

    def __post_init__(self) -> None:
        _within(self, decay=(0, 1))


@dataclass(frozen=True)
class Part:
    """A part by name, with all its options. The name `none` where an algorithm lacks the slot is empty."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


PARTS = {
    "algo": "algorithm",
    "teacher": "teacher",
    "labeler": "labeler",
    "mixer": "mixer",
    "backbone": "backbone",
}


@dataclass(frozen=True)
class Config:
    backbone: Part
    algo: Part
    teacher: Part | None = None
    labeler: Part | None = None
    mixer: Part | None = None
    data: Data = field(default_factory=Data)
    views: Views = field(default_factory=Views)
    pretrain: Pretrain = field(default_factory=Pretrain)
    finetune: Training = field(default_factory=Training)
    semi: Semi = field(default_factory=Semi)
    control: Control = field(default_factory=Control)
    eval: Eval = field(default_factory=Eval)
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: int | None = None  # auto: min(cores, 8) on a CPU

    def __post_init__(self) -> None:
        _within(self, seed=(0, 2**31), threads=(1, 1024))

    @property
    def decay(self) -> float:
        """EMA decay of the averaged network."""
        return self.eval.decay if self.eval.decay is not None else max(0.0, 1 - 10 / self.semi.steps)


def _within(section: Any, **ranges: tuple[float | None, float | None]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(section, name)
        if value is None:
            continue
        if not ((low is None or value >= low) and (high is None or value <= high)):
            limits = f"{low} or more" if high is None else f"from {low} to {high}"
            raise ValueError(f"{name} must be {limits}, got {value}")


def flatten(config: Any, prefix: str = "") -> Flat:
    """A configuration as key -> value, in the order of its fields."""
    flat: Flat = {}
    for f in fields(config):
        value = getattr(config, f.name)
        if isinstance(value, Part):
            flat[f"{prefix}{f.name}.name"] = value.name
            flat |= {f"{prefix}{f.name}.{name}": option for name, option in value.options.items()}
        elif is_dataclass(value):
            flat |= flatten(value, f"{prefix}{f.name}.")
        elif f.name not in PARTS:
            flat[prefix + f.name] = value
    return flat
