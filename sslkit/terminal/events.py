"""The lines of `--progress json`, as types from which their schema is made. Every line of standard error is one."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

Seconds = Annotated[float | None, "until it is done, about; null where that is not known yet"]
Rate = Annotated[float, "images a second; 0 in the first line"]


class Note(TypedDict):
    """A sentence: what was decided by itself, a warning. The answer of --json has it in its `notes`, too."""

    event: Literal["note"]
    text: str


class Status(TypedDict):
    """Something has begun that takes its time and has no steps."""

    event: Literal["status"]
    text: str


class Images(TypedDict):
    """Work that looks at every image, as reading, hashing and classifying them."""

    event: Literal["images"]
    what: Annotated[str, "what is done with them; of a stage on frozen features, the stage"]
    done: int
    total: int | None
    images_per_s: Rate
    eta_s: Seconds


class PlannedStage(TypedDict):
    """A stage of a run that begins."""

    stage: str
    steps: Annotated[int | None, "null on frozen features"]
    images_a_step: int | None
    seconds: Annotated[float | None, "that it will take, about; null where it is stored, or gone on with"]


class Plan(TypedDict):
    """What a run will do."""

    event: Literal["plan"]
    stages: list[PlannedStage]


class StageBegun(TypedDict):
    """A stage begins, or is gone on with."""

    event: Literal["stage_begun"]
    stage: str
    steps: int | None


class Step(TypedDict):
    """How far a stage is; one a second at most, and one for the last step."""

    event: Literal["step"]
    stage: str
    step: int
    steps: int
    images_per_s: Rate
    eta_s: Seconds
    losses: Annotated[dict[str, float | None], "terms of the loss, means since the last log"]
    pseudo_labels: Annotated[dict[str, float | None] | None, "shares kept and right, where there are pseudo-labels"]


class Validation(TypedDict):
    """The averaged network was evaluated on the validation part."""

    event: Literal["validation"]
    stage: str
    step: int
    val_top1: NotRequired[Annotated[float | None, "share"]]
    val_map: NotRequired[Annotated[float | None, "in its place where images have several labels"]]


class StageEnded(TypedDict):
    """A stage is done, or was cut off."""

    event: Literal["stage_ended"]
    stage: str
    step: int
    steps: int | None
    whole: Annotated[bool, "whether it came to its end"]


class Runs(TypedDict):
    """How many runs of a comparison have ended; those that were stored already come first, at once."""

    event: Literal["runs"]
    done: int
    total: int
    eta_s: Seconds


class RunEnded(TypedDict):
    """A run of a comparison has ended; where `error` is not empty, it failed, and the others go on."""

    event: Literal["run_ended"]
    method: str
    condition: str
    seed: int
    run: Annotated[str, "its folder in the store"]
    error: str


class Stopped(TypedDict):
    """The last line where a signal stopped the command; the same command goes on."""

    event: Literal["stopped"]
    text: str
    code: NotRequired[int]


class Error(TypedDict):
    """The last line where the command failed."""

    event: Literal["error"]
    text: str
    code: int


Event = Note | Status | Images | Plan | StageBegun | Step | Validation | StageEnded | Runs | RunEnded | Stopped | Error
