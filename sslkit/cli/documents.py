"""What the kernel's commands answer with `--json`, as types from which their schemas are made.

Accuracies, losses and the like are shares (0 to 1) unless a name or a description says percent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

File = Annotated[str, "the file or folder that was written"]


class ConfigAnswer(TypedDict):
    """Of `run --show-config`."""

    config: Annotated[dict[str, Any], "every configuration key"]


class OutAnswer(TypedDict):
    """What was written."""

    out: File


class Part(TypedDict):
    """An algorithm, backbone, data set and so on."""

    kind: str
    name: str
    description: str
    paper: str
    origin: Annotated[str, "built in, a distribution with its version, or a file"]
    problem: NotRequired[Annotated[str, "of --check: why it cannot be loaded"]]


class PartsAnswer(TypedDict):
    """Parts of one kind, or of all."""

    parts: list[Part]


class RecipesAnswer(TypedDict):
    """Published settings: name, title, what was published, and what they gave here."""

    recipes: list[dict[str, str]]


class Study(TypedDict):
    """A comparison that `sslkit compare --study` knows."""

    name: str
    question: str
    scales: str
    origin: str


class StudiesAnswer(TypedDict):
    """Studies."""

    studies: list[Study]


class ClassCounts(TypedDict):
    """Images of a class with a known label."""

    name: str
    training: int
    labeled: int
    val: int
    test: int


class ImageName(TypedDict):
    """An image, and the part that it is in."""

    name: str
    part: str


class Group(TypedDict):
    """Images that are the same, or look alike."""

    images: list[ImageName]
    across_test: Annotated[bool, "in training and in the test: the accuracy is too high by it"]
    labels: list[str]


class DataAnswer(TypedDict):
    """What would be read."""

    data: str
    remarks: list[str]
    stop: Annotated[str, "why a run would stop; empty where it would not"]
    size: int | None
    parts: Annotated[dict[str, int], "labeled, pool, val, test, unknown"]
    classes: list[ClassCounts]
    imbalance: Annotated[float | None, "largest class over the smallest; null where a class has no label"]
    short_side: Annotated[list[float], "least, median and most, in pixels"]
    long_side: list[float]
    aspect: list[float]
    modes: dict[str, int]
    formats: dict[str, int]
    mean: list[float]
    std: list[float]
    bad: Annotated[list[str], "files that cannot be read, with the reason"]
    equal: list[Group]
    near: list[Group]


class Check(TypedDict):
    """What one check of one part came to."""

    kind: str
    name: str
    check: str
    holds: Annotated[str, "what should hold"]
    state: Literal["passed", "failed", "known", "skipped"]
    reason: str


class CheckAnswer(TypedDict):
    """Checks of parts; where one failed the exit code is 2."""

    version: Annotated[int, "of the checks"]
    checks: list[Check]


class NewAnswer(TypedDict):
    """A package with a part."""

    files: list[str]
    check: Annotated[str, "the command that tries the part"]


Error = TypedDict("Error", {"file": str, "label": str, "class": str, "confidence": float})


class PredictAnswer(TypedDict):
    """Predictions, which stand in the file `out`."""

    images: int
    out: File
    labeled: NotRequired[Annotated[int, "images of which the label is known"]]
    top1: NotRequired[Annotated[float, "of those"]]
    map: NotRequired[Annotated[float, "of those, where images have several labels; F1 is at the thresholds"]]
    micro_f1: NotRequired[float]
    macro_f1: NotRequired[float]
    nll: NotRequired[float]
    errors: NotRequired[Annotated[list[Error], "the most confident ones"]]
    unknown: NotRequired[Annotated[int, "below the confidence of --unknown-below"]]
    skipped: NotRequired[list[str]]
    unread: NotRequired[list[str]]
    remarks: NotRequired[list[str]]


class MapAnswer(TypedDict):
    """Images as points."""

    images: int
    of: Annotated[int, "images that the run knows"]
    projection: Annotated[str, "umap or pca"]
    out: list[str]


class AuditAnswer(TypedDict):
    """Lists of images, which stand in the folder `out`."""

    suspect_labels: int
    likely: Annotated[int, "labels that confident learning counts to another class"]
    label_next: int
    shared: Annotated[float, "share of all labels with which predictions agree"]
    pool: int
    outside: int
    outside_at_least: Annotated[float, "share of the pool that is of no known class, at least, with 95% confidence"]
    out: File
    files: list[str]


class Parity(TypedDict):
    """How the exported network's probabilities compare with the run's."""

    on: str
    images: int
    batches: list[int]
    largest_difference: Annotated[float, "of a probability"]
    tolerance: float
    same_class: Annotated[float, "share of images"]


class ExportAnswer(TypedDict):
    """What was exported."""

    out: File
    format: str
    check: Annotated[Parity | None, "null where nothing is executed"]
    plugins: NotRequired[Annotated[list[str], "of format run: files in it that its commands need by --plugin"]]
    uploaded: NotRequired[Annotated[str, "the private repository"]]


class ConvertAnswer(TypedDict):
    """Labels as a table."""

    format: str
    title: str
    images: int
    rows: int
    labelled: int
    classes: dict[str, int]
    reasons: Annotated[dict[str, list[str]], "why images have no class -> their names"]
    out: File
    changed: NotRequired[int]
    new: NotRequired[int]
    same: NotRequired[int]
    added: NotRequired[int]
