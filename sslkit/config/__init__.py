"""The configuration: frozen, typed, nested. One source of truth for command line, TOML file and Python.

A key is `section.name`; a part's section holds its name and the typed keyword parameters of its constructor.
`None` means "decided for you" and is written `auto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from sslkit.augment.policy import MEDIUM, POLICIES, STRONG, WEAK, Policy
from sslkit.config.data import Data as Data
from sslkit.config.data import within

Flat = dict[str, Any]  # "section.name" -> value


@dataclass(frozen=True)
class Views:
    weak: Policy = field(default_factory=lambda: WEAK)
    medium: Policy = field(default_factory=lambda: MEDIUM)  # of algorithms that ask for it
    strong: Policy = field(default_factory=lambda: STRONG)
    pretrain: Policy = field(default_factory=lambda: POLICIES["mae"])
    labeled: Literal["weak", "strong"] = "weak"  # whose policy labelled images have


@dataclass(frozen=True)
class Training:
    steps: int = 1000
    epochs: float | None = None  # instead of steps: passes over the stage's largest stream
    images: int | None = None  # instead of steps: images of that stream
    batch: int = 64  # labelled images a step, over all devices
    lr: float = 1e-3
    scale_lr: bool = False  # lr is for 256 labelled images a step and grows with them
    schedule: Literal["half_cosine", "long_cosine"] = "half_cosine"  # long: cos(7 pi t / 16)
    min_lr: float = 0.0  # where the half cosine ends
    optimizer: Literal["adamw", "sgd"] = "adamw"  # sgd: Nesterov momentum 0.9
    beta2: float = 0.999  # of AdamW
    weight_decay: float = 0.05
    layer_decay: float = 1.0  # lr of a layer, as a share of that of the layer above
    warmup: float = 0.05  # share of the steps with linear warm-up; the schedule follows
    clip: float = 0.0  # largest gradient norm; 0 is no clipping
    accumulate: int = 1  # micro-batches a step on each device
    smoothing: float = 0.0  # of the labels
    mixup: float = 0.0  # Beta(a, a) of mixup of labelled images; 0 is none
    cutmix: float = 0.0  # the same of CutMix; with both, one of them at random
    drop_path: float | None = None  # auto: the backbone's
    erase: float | None = None  # auto: the views'; else that of the strong view
    decay: float | None = None  # of the averaged network; auto: eval.decay
    norm_stats: Literal["batch", "frozen"] | None = None  # of BatchNorm; auto: frozen after probe on few labels

    def __post_init__(self) -> None:
        within(self, steps=(1, None), batch=(1, 65536), lr=(0, None), weight_decay=(0, None))
        within(self, warmup=(0, 1), clip=(0, None), accumulate=(1, None), min_lr=(0, None), beta2=(0, 0.999999))
        within(self, layer_decay=(0.01, 1), smoothing=(0, 0.99), mixup=(0, None), cutmix=(0, None))
        within(self, drop_path=(0, 0.99), erase=(0, 1), decay=(0, 1), epochs=(1e-6, None), images=(1, None))
        if self.epochs is not None and self.images is not None:
            raise ValueError("epochs and images exclude each other: leave one at auto")


@dataclass(frozen=True)
class Pretrain(Training):
    batch: int = 256  # images a step, labelled and unlabelled alike
    beta2: float = 0.95
    decay: float | None = 0.0  # the next stage starts from the last weights
    data: str = ""  # labelled data set that it learns, instead of masked patches: NAME or NAME:ARGUMENT
    dir: str = ""  # folder of that data set, as data.dir


@dataclass(frozen=True)
class Semi(Training):
    mu: int = 3  # unlabelled images for each labelled one
    skip_rejected: Literal["auto", "on", "off"] = "auto"  # auto: on the CPU, without BatchNorm and drop path

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, mu=(1, None))


@dataclass(frozen=True)
class Control:
    run: bool = False  # also train finetune+: as many steps as semi, labels only, from the same start
    lr: float | None = None  # auto: as semi.lr

    def __post_init__(self) -> None:
        within(self, lr=(0, None))


@dataclass(frozen=True)
class Eval:
    decay: float | None = None  # of the averaged network; auto: its memory is 10% of the semi steps
    buffers: Literal["average", "copy"] = "average"  # BatchNorm's statistics in the average
    patience: int | None = None  # validations (10 a stage) without a better one that end a stage early; auto: never

    def __post_init__(self) -> None:
        within(self, decay=(0, 1), patience=(1, None))


@dataclass(frozen=True)
class Part:
    """A part by name, with all its options. The name `none` where an algorithm lacks the slot is empty."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


# keys that leave a run what it is: where its data are, how they are held, how fast it is, who is told
FREE = (
    "threads",
    "data.dir",
    "data.download",
    "data.cache_gb",
    "data.workers",
    "grad_checkpoint",
    "pretrain.dir",
    "track",
)
STAGES = ("pretrain", "probe", "finetune", "semi")
PARTS = {"algo": "algorithm", "adapt": "adapter"}
PARTS |= {name: name for name in ("teacher", "labeler", "mixer", "pretrainer", "backbone")}


@dataclass(frozen=True)
class Config:
    backbone: Part
    algo: Part
    teacher: Part | None = None
    labeler: Part | None = None
    mixer: Part | None = None
    pretrainer: Part | None = None
    adapt: Part | None = None  # what of the network trains in the stages after pretrain; None is all
    data: Data = field(default_factory=Data)
    views: Views = field(default_factory=Views)
    pretrain: Pretrain = field(default_factory=Pretrain)
    finetune: Training = field(default_factory=Training)
    semi: Semi = field(default_factory=Semi)
    control: Control = field(default_factory=Control)
    eval: Eval = field(default_factory=Eval)
    stages: str = "finetune,semi"  # of pretrain, probe, finetune, semi, in this order
    weights: str | None = None  # what the first stage starts from: a file, a run, imagenet, timm, timm:NAME or none
    weights_container: str | None = None  # the set of weights to take of a file that has several
    weights_partial: bool = False  # what the file lacks of the network stays as it starts
    predictions: str = ""  # of other networks, which some algorithms learn: runs and files, with commas between
    grad_checkpoint: bool = False  # recompute blocks in the backward pass: less memory, more time, the same bits
    compile: bool = False  # networks by torch.compile
    fsdp: bool = False  # several processes keep a shard of the weights each
    time: float | None = None  # seconds of the whole run, which set the steps; 2h, 90m and 45s can be written
    track: str = ""  # trackers that are told of the run, with commas between
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: int | None = None  # auto: min(cores, 8) on a CPU

    def __post_init__(self) -> None:
        within(self, seed=(0, 2**31), threads=(1, 1024), time=(1, None))
        if self.eval.patience and not self.data.val:
            raise ValueError("eval.patience needs a validation part: add --val 0.2")
        asked = self.stages.replace(" ", "").split(",")
        if not self.stages or [stage for stage in STAGES if stage in asked] != asked:
            raise ValueError(f"stages must be some of {','.join(STAGES)}, in this order, got {self.stages!r}")

    @property
    def decay(self) -> float:
        """EMA decay of the averaged network."""
        return self.eval.decay if self.eval.decay is not None else max(0.0, 1 - 10 / self.semi.steps)


def flatten(config: Any, prefix: str = "") -> Flat:
    """A configuration as key -> value, in the order of its fields."""
    flat: Flat = {}
    for f in fields(config):
        value = getattr(config, f.name)
        if isinstance(value, Part):
            flat[f"{prefix}{f.name}.name"] = value.name
            flat |= {f"{prefix}{f.name}.{name}": option for name, option in value.options.items()}
        elif not isinstance(value, str | int | float | None) and is_dataclass(value):
            flat |= flatten(value, f"{prefix}{f.name}.")
        elif f.name not in PARTS:
            flat[prefix + f.name] = value
    return flat
