"""What `compare`, `table`, `advise` and `runs` answer with `--json`, as types from which their schemas are made."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

Keys = dict[str, Any]  # configuration keys


class Asked(TypedDict):
    """What a comparison is."""

    arms: Annotated[dict[str, Keys], "method -> keys that make it"]
    conditions: Annotated[dict[str, Keys], "condition -> keys that make the group of rows"]
    requests: Annotated[dict[str, dict[str, Keys]], "condition -> method -> all keys that were asked for"]
    seeds: int
    reference: str
    remarks: list[str]
    machine: Keys
    first_seed: NotRequired[int]


class Cost(TypedDict):
    """Of a row, measured on one step."""

    parameters: int
    steps: int
    images: Annotated[int, "a step"]
    flops: Annotated[float, "a step"]
    before: Annotated[float, "FLOPs of the stages that it starts from"]


class Paired(TypedDict):
    """A row beside the reference on their common seeds, in percentage points."""

    condition: str
    row: str
    reference: str
    values: Annotated[list[float], "the difference in each seed"]
    n: int
    tested: Annotated[bool, "false of controls, which nobody asked about"]
    identical: Annotated[bool, "the same predictions in every seed, to the bit"]
    mean: Annotated[float | None, "null, as low and high, below three common seeds: nothing may be claimed"]
    low: Annotated[float | None, "of the 95% interval over the seeds"]
    high: float | None
    wins: int | None
    ties: int | None
    p_adjusted: Annotated[float | None, "sign-flip test, Holm; null where so few seeds cannot reach 0.05"]
    seeds_needed: Annotated[int | None, "from which the test can reach 0.05"]
    verdict: Annotated[
        str, "better, worse, equivalent within ±DELTA, not significant (no evidence of equality), not tested, too few"
    ]


class SeedRow(TypedDict):
    """A row in one seed: the averaged network at the last step on the test."""

    condition: str
    row: str
    seed: int
    top1: NotRequired[Annotated[float | None, "percent"]]
    map: NotRequired[Annotated[float | None, "percent, in its place where images have several labels"]]
    micro_f1: NotRequired[float | None]
    macro_f1: float | None
    nll: float | None
    ece: NotRequired[float | None]
    open_top1: NotRequired[float | None]
    auroc: NotRequired[float | None]
    unknown: NotRequired[float | None]
    coverage: Annotated[float | None, "share of pseudo-labels kept"]
    precision: Annotated[float | None, "share of these that are right, by the hidden labels"]
    seconds: float | None
    memory: Annotated[float | None, "bytes"]
    flags: Annotated[str | None, "what went wrong in training"]
    versions: str | None
    key: str | None
    error: Annotated[str, "why there is no result; empty where there is"]


Printed = TypedDict("Printed", {"summary": list[dict[str, Any]], "stability and cost": list[dict[str, Any]]})


class ComparisonAnswer(Printed):
    """A comparison. Numbers are in `paired` and `rows`; `summary` and `stability and cost` are as they are printed."""

    comparison: Asked
    study: str
    differences: Annotated[dict[str, dict[str, dict[str, list[Any]]]], "condition -> row -> key -> reference's, its"]
    labeled: dict[str, int]
    costs: dict[str, dict[str, Cost]]
    question: str | None
    claim: str | None
    verdicts: list[str]
    warnings: list[str]
    worth: Annotated[list[str], "how many labels a method is worth"]
    paired: list[Paired]
    rows: list[SeedRow]
    paper: NotRequired[list[dict[str, Any]]]
    sources: NotRequired[list[str]]
    name: Annotated[str, "of the comparison: its folder in the store"]


class PlanAnswer(TypedDict):
    """Of `compare --dry-run`: what would be trained."""

    methods: list[str]
    conditions: list[str]
    seeds: int
    reference: str
    runs: int
    stages: int
    missing: Annotated[int, "stages that are not stored yet"]
    seconds: Annotated[float | None, "for these, one after another; null where this machine cannot tell"]
    differences: dict[str, dict[str, dict[str, list[Any]]]]
    name: Annotated[str, "of the comparison: its folder in the store"]


class DetachedAnswer(TypedDict):
    """Of `--detach` and `--cluster print`: jobs were made, and are not waited for."""

    detached: Annotated[str, "a sentence on them"]
    name: Annotated[str, "of the comparison: its folder in the store"]


class Standing(TypedDict):
    """How a stage of a comparison stands."""

    stage: str
    method: str
    condition: str
    seed: int
    key: str
    state: Literal["running", "waiting", "failed", "missing", "done"]
    why: NotRequired[str | None]
    step: NotRequired[int]
    steps: NotRequired[int]
    images_s: NotRequired[float]
    job: NotRequired[str]
    time: NotRequired[str]
    log: NotRequired[str]
    line: NotRequired[str]


class StatusAnswer(TypedDict):
    """Of `compare --status`."""

    stages: list[Standing]


class Interval(TypedDict):
    """A share, or a difference of shares, with its 95% interval."""

    value: float
    low: float
    high: float


class AdviceRow(TypedDict):
    """A method that was judged on labelled images that it was not fitted to."""

    row: str
    accuracy: Interval
    folds: int
    pool: Annotated[bool, "whether it learns from images without a label"]
    seconds: Annotated[float, "that a run of it takes, about"]
    steps: dict[str, int]
    beside_linear: Interval | None


class CurvePoint(TypedDict):
    """What linear gives with so many labels."""

    labels: float
    accuracy: float


class PoolHelps(Interval):
    """A method that uses images without a label beside one that does not."""

    row: str
    beside: str
    verdict: Literal["helps", "harms", "no difference shown"]


class AdviceAnswer(TypedDict):
    """Which method to use."""

    use: str
    command: Annotated[str, "the command that trains it"]
    accuracy: Interval
    judged: Annotated[int, "labelled images"]
    labels: int
    pool: int
    rows: list[AdviceRow]
    curve: list[CurvePoint]
    twice_the_labels: Interval | None
    pool_helps: list[PoolHelps]
    stop: Annotated[str, "when to stop labelling"]
    remarks: list[str]


class StoredRun(TypedDict):
    """A run in a store."""

    name: str
    state: Literal["finished", "unfinished", "damaged"]
    reason: str
    data: str
    method: str
    backbone: str
    labels: str
    seed: int | None
    top1: Annotated[float | None, "percent"]
    map: Annotated[float | None, "percent, where images have several labels"]
    size: Annotated[int, "bytes, with stages that it may share"]
    date: str
    stages: dict[str, str]


class StoredComparison(TypedDict):
    """A comparison in a store."""

    name: str
    runs: list[str]
    own: list[str]
    stages: list[str]
    reason: str


class ListAnswer(TypedDict):
    """What a store has."""

    runs: list[StoredRun]
    comparisons: list[StoredComparison]


class RemovedAnswer(TypedDict):
    """What was removed."""

    comparisons: list[str]
    runs: list[str]
    stages: list[str]
    frozen: list[str]
    size: Annotated[int, "bytes"]
    remarks: list[str]


class ResultPair(TypedDict):
    """Top-1 of a stage in two runs, in percent."""

    a: float | None
    b: float | None
    difference: float | None


class RunsDiffAnswer(TypedDict):
    """What two runs differ in."""

    configuration: dict[str, list[Any]]
    results: dict[str, ResultPair]


class StoresDiffAnswer(TypedDict):
    """What two stores differ in: names of runs, and why some cannot be read."""

    only_a: list[str]
    only_b: list[str]
    different: dict[str, list[dict[str, float | None]]]
    same: list[str]
    damaged: dict[str, str]


class Brought(TypedDict):
    """What a store brings: names of what is new, and how many are there already."""

    root: str
    stages: list[str]
    weights: list[str]
    runs: list[str]
    comparisons: list[str]
    there: dict[str, int]
    remarks: list[str]


class MergeAnswer(TypedDict):
    """What other stores brought, or with --dry-run would bring."""

    dry_run: bool
    stores: list[Brought]
