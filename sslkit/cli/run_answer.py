"""What `sslkit run --json` and `show --json` answer, as types from which their schema is made.

Accuracies are shares (0 to 1).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict


class Scores(TypedDict):
    """Of one network on the labelled test images."""

    top1: float | None
    top5: NotRequired[float | None]
    macro_f1: float | None
    nll: Annotated[float | None, "mean negative log-likelihood, in nats"]
    ece: Annotated[float | None, "expected calibration error, 15 bins"]
    auroc: NotRequired[Annotated[float | None, "unknown against known images, where the test has both"]]
    open_top1: NotRequired[Annotated[float | None, "balanced accuracy of C + 1 classes"]]


class SetScores(TypedDict):
    """The same where images have several labels."""

    map: Annotated[float | None, "mean average precision"]
    micro_f1: Annotated[float | None, "over (image, class) pairs, at probability 0.5"]
    macro_f1: float | None
    nll: Annotated[float | None, "of a pair, in nats"]


class Thresholds(TypedDict):
    """Where images have several labels: of each class the probability with the best F1 on the validation images."""

    thresholds: list[float]
    images: int
    micro_f1: NotRequired[Annotated[float, "on the test images, with these thresholds"]]
    macro_f1: NotRequired[float]


class Calibration(TypedDict):
    """A temperature, fitted on the validation images; nll and ece are what it gives on the test images."""

    temperature: float
    images: int
    errors: Annotated[int, "of the validation images; 0 fixes no temperature"]
    nll: NotRequired[float | None]
    ece: NotRequired[float | None]


class Best(Scores):
    """Of the averaged network at the step with the best validation accuracy."""

    step: int
    val_top1: float
    calibration: NotRequired[Calibration | None]


class SetBest(SetScores):
    """The same where images have several labels."""

    step: int
    val_map: float
    calibration: NotRequired[Thresholds | None]


class Versions(TypedDict):
    """What trained a stage."""

    sslkit: str
    torch: str


class StageResult(TypedDict):
    """What a stage gave."""

    stage: str
    method: str
    key: Annotated[str, "its folder below stages/ of the store"]
    new: Annotated[bool, "trained by this command, or by the one that made the run; else it was stored"]
    seconds: float
    steps: int
    networks: Annotated[dict[str, Scores | SetScores], "averaged (EMA), student, and what else the method evaluates"]
    best: Best | SetBest | None
    calibration: NotRequired[Calibration | Thresholds | None]
    memory: NotRequired[Annotated[int | None, "peak, in bytes"]]
    versions: NotRequired[Versions]
    losses: Annotated[dict[str, float | None], "means over the last tenth of the steps"]
    pseudo_labels: Annotated[
        dict[str, float | None] | None, "kept (coverage) and right (precision) by the hidden labels, means likewise"
    ]
    frozen: NotRequired[bool]


class Headline(TypedDict):
    """The result of a run: the averaged network at the last step, on the labelled test images."""

    network: str
    step: str
    top1: NotRequired[float | None]
    map: NotRequired[Annotated[float | None, "in its place where images have several labels"]]
    images: NotRequired[int]
    interval: NotRequired[
        Annotated[list[float], "95% (Wilson, of map the bootstrap's), for the choice of test images; not for the seed"]
    ]


ClassRow = TypedDict(
    "ClassRow",
    {"class": str, "images": int, "predicted": int, "recall": float | None, "precision": float | None},
)


class Classes(TypedDict):
    """Class by class."""

    balanced_accuracy: float | None
    rows: list[ClassRow]
    confusion: NotRequired[Annotated[list[list[int]], "true class in rows, predicted in columns; up to 100 classes"]]


class Machine(TypedDict):
    """Where a run was trained."""

    device: str
    precision: str
    threads: int
    processes: NotRequired[int]
    steps: NotRequired[dict[str, int]]
    reason: NotRequired[str]


class RunAnswer(TypedDict):
    """A finished run."""

    run: Annotated[str, "its folder in the store of --runs"]
    headline: Headline
    gains: Annotated[dict[str, float], "differences of top1, or map, between stages: one seed, which is no evidence"]
    pretrain: Literal["trained", "skipped"]
    stages: list[StageResult]
    machine: Machine
    config: Annotated[dict[str, Any], "every configuration key"]
    classes: NotRequired[Classes]
    remarks: Annotated[list[str], "what is amiss, with advice"]
    repeats: NotRequired[Annotated[str, "of --again: whether the weights agree with the first run's"]]
